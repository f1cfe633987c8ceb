"""WAF: rules for what may reach a web site."""
