"""The rules of the flow format: one thing that can be wrong is one file.

Every check looks at a `Subject` and reports all that it finds; none stops the others, and none
reports what follows from something that another check reports.
"""

from __future__ import annotations

from cloudflow_dagster.compiler.checks.absent_names import check_absent_names
from cloudflow_dagster.compiler.checks.call_cycles import check_call_cycles
from cloudflow_dagster.compiler.checks.compensations import check_compensations
from cloudflow_dagster.compiler.checks.config_fields import check_config_fields
from cloudflow_dagster.compiler.checks.config_judged import check_config_judged
from cloudflow_dagster.compiler.checks.config_required import check_config_required
from cloudflow_dagster.compiler.checks.config_values import check_config_values
from cloudflow_dagster.compiler.checks.constant_conditions import check_constant_conditions
from cloudflow_dagster.compiler.checks.credentials import check_credentials
from cloudflow_dagster.compiler.checks.cycles import check_cycles
from cloudflow_dagster.compiler.checks.destructive_nodes import check_destructive_nodes
from cloudflow_dagster.compiler.checks.duplicate_edges import check_duplicate_edges
from cloudflow_dagster.compiler.checks.edge_ends import check_edge_ends
from cloudflow_dagster.compiler.checks.edge_ports import check_edge_ports
from cloudflow_dagster.compiler.checks.empty_flows import check_empty_flows
from cloudflow_dagster.compiler.checks.expression_names import check_expression_names
from cloudflow_dagster.compiler.checks.expression_syntax import check_expression_syntax
from cloudflow_dagster.compiler.checks.expression_types import check_expression_types
from cloudflow_dagster.compiler.checks.failure_flows import check_failure_flows
from cloudflow_dagster.compiler.checks.flow_calls import check_flow_calls
from cloudflow_dagster.compiler.checks.flow_ids import check_flow_ids
from cloudflow_dagster.compiler.checks.idle_nodes import check_idle_nodes
from cloudflow_dagster.compiler.checks.idle_settings import check_idle_settings
from cloudflow_dagster.compiler.checks.loop_borders import check_loop_borders
from cloudflow_dagster.compiler.checks.loop_depth import check_loop_depth
from cloudflow_dagster.compiler.checks.loop_reads import check_loop_reads
from cloudflow_dagster.compiler.checks.loop_results import check_loop_results
from cloudflow_dagster.compiler.checks.misplaced_expressions import check_misplaced_expressions
from cloudflow_dagster.compiler.checks.node_reads import check_node_reads
from cloudflow_dagster.compiler.checks.node_types import check_node_types
from cloudflow_dagster.compiler.checks.not_supported import check_not_supported
from cloudflow_dagster.compiler.checks.param_defaults import check_param_defaults
from cloudflow_dagster.compiler.checks.parents import check_parents
from cloudflow_dagster.compiler.checks.pins import check_pins
from cloudflow_dagster.compiler.checks.read_fields import check_read_fields
from cloudflow_dagster.compiler.checks.secret_reads import check_secret_reads
from cloudflow_dagster.compiler.checks.shadowed_names import check_shadowed_names
from cloudflow_dagster.compiler.checks.trigger_inputs import check_trigger_inputs
from cloudflow_dagster.compiler.checks.trigger_params import check_trigger_params
from cloudflow_dagster.compiler.subject import Check

CHECKS: tuple[Check, ...] = (
    check_node_types,
    check_edge_ends,
    check_edge_ports,
    check_trigger_inputs,
    check_cycles,
    check_duplicate_edges,
    check_loop_borders,
    check_loop_results,
    check_loop_depth,
    check_parents,
    check_empty_flows,
    check_idle_settings,
    check_idle_nodes,
    check_compensations,
    check_constant_conditions,
    check_config_values,
    check_config_fields,
    check_config_required,
    check_config_judged,
    check_credentials,
    check_pins,
    check_expression_syntax,
    check_expression_names,
    check_node_reads,
    check_loop_reads,
    check_absent_names,
    check_read_fields,
    check_shadowed_names,
    check_secret_reads,
    check_misplaced_expressions,
    check_expression_types,
    check_param_defaults,
    check_trigger_params,
    check_flow_calls,
    check_call_cycles,
    check_failure_flows,
    check_flow_ids,
    check_not_supported,
)
"""In the order of their codes. The order has no meaning: all look at the same graph."""

STRICT_CHECKS: tuple[Check, ...] = (check_destructive_nodes,)
"""What a strict check looks for beside these: things that may well be meant."""
