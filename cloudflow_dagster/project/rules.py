"""What can be wrong with `cloudflow.yaml`."""

from __future__ import annotations

from cloudflow_dagster.diagnostics.model import Rule, Severity

_RIGHT = """\
credentials:
  prod: {provider: aws, profile: prod, region: eu-central-1}
"""

UNREADABLE = Rule(
    "CF6101",
    "The project file cannot be read",
    "`cloudflow.yaml` is YAML of plain values: mappings, lists, text, numbers, `true`, `false` and "
    "`null`. Tags (`!!…`), several documents in one file, merge keys (`<<`), values nested more "
    "than 50 deep, and files over 256 kB are refused. Correct the place that is named.",
    wrong="credentials: [\n",
    right=_RIGHT,
)
DUPLICATE = Rule(
    "CF6102",
    "A key is there twice",
    "YAML would silently take the last one. Remove one of them.",
    wrong="variables:\n  team: platform\n  team: storage\n",
    right="variables:\n  team: platform\n",
)
UNKNOWN_FIELD = Rule(
    "CF6103",
    "A field is not known",
    "A field that CloudFlow does not know would have no effect. `docs/project-file.md` lists all "
    "of them.",
    wrong="credentials:\n  prod: {provider: aws, profil: prod}\n",
    right=_RIGHT,
)
MISSING_FIELD = Rule(
    "CF6104",
    "A field is missing",
    "Add it; `docs/project-file.md` says what it means.",
    wrong="credentials:\n  prod: {profile: prod}\n",
    right=_RIGHT,
)
WRONG_VALUE = Rule(
    "CF6105",
    "A value does not fit its field",
    "The message says what the field takes.",
    wrong="settings: {code_nodes: perhaps}\n",
    right="settings: {code_nodes: false}\n",
)
LITERAL_SECRET = Rule(
    "CF6106",
    "A secret stands in the project file",
    "The file is in version control, where a secret stays for ever. Write where the value lies "
    "instead: `{env: NAME}`, `{file: PATH}` or `{secret: NAME}`. And change the secret: whoever "
    "could read this file may know it.",
    wrong="credentials:\n  prod: {provider: aws, access_key_id: {env: ID}, "
    "secret_access_key: abc}\n",
    right="credentials:\n  prod: {provider: aws, access_key_id: {env: ID}, "
    "secret_access_key: {env: KEY}}\n",
)
UNKNOWN_NAME = Rule(
    "CF6107",
    "A credential or a secret of this name does not exist",
    "`source`, `default_credentials`, `credential` and `secret` refer to names of this file.",
    wrong="credentials:\n  prod: {provider: aws}\ndefault_credentials: {aws: prd}\n",
    right="credentials:\n  prod: {provider: aws}\ndefault_credentials: {aws: prod}\n",
)
CYCLE = Rule(
    "CF6108",
    "Credentials or secrets need each other",
    "To log in with the one, the other is needed first, and the other way round. Let one of them "
    "begin with something outside: a profile, an environment variable, a file.",
    wrong="credentials:\n"
    "  a: {provider: aws, role_arn: 'arn:aws:iam::111111111111:role/a', source: b}\n"
    "  b: {provider: aws, role_arn: 'arn:aws:iam::111111111111:role/b', source: a}\n",
    right="credentials:\n"
    "  a: {provider: aws, role_arn: 'arn:aws:iam::111111111111:role/a', source: b}\n"
    "  b: {provider: aws, profile: b}\n",
)
CONTRADICTION = Rule(
    "CF6109",
    "The fields of a credential do not go together",
    "There are two ways to log in where one must be chosen, or half of one is missing.",
    wrong="credentials:\n  prod: {provider: aws, profile: prod, simulated: true}\n",
    right=_RIGHT,
)
BAD_NAME = Rule(
    "CF6110",
    "A name cannot be used",
    "Credentials are named like nodes (`[a-z][a-z0-9_]*`), variables so that an expression can "
    "read them (`[A-Za-z_][A-Za-z0-9_]*`), secrets by letters, digits and `_ . - /`.",
    wrong="variables: {alerts-topic: alerts}\n",
    right="variables: {alerts_topic: alerts}\n",
)
TWO_DEFAULTS = Rule(
    "CF6111",
    "A provider has two default credentials",
    "A node that names no credential would not know which to use. Keep one of them.",
    wrong="credentials:\n"
    "  a: {provider: aws, profile: a, default: true}\n"
    "  b: {provider: aws, profile: b, default: true}\n",
    right="credentials:\n"
    "  a: {provider: aws, profile: a, default: true}\n"
    "  b: {provider: aws, profile: b}\n",
)
SECRET_IN_VARIABLE = Rule(
    "CF6112",
    "A variable is named like a secret",
    "Variables are shown in logs and in stored outputs. If it is a secret, put it under `secrets` "
    "and read it with `$secret('name')`; if it is not, another name says so.",
    wrong="variables: {api_token: abc}\n",
    right="secrets:\n  api_token: {env: API_TOKEN}\n",
    severity=Severity.WARNING,
)
