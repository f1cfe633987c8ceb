"""What expressions see and give, and how a config is made of them."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.runtime.fit import find_misfits
from cloudflow_dagster.runtime.schemas import Schema, wrapped


def config_of(stage: Any, config: dict[str, Any], type: str = "test.do") -> dict[str, Any]:
    """Return the config that a node's handler gets, after `up` gave some values."""
    stage.on["up"] = lambda call, config: {
        "text": "t",
        "n": 2**60 + 1,
        "none": None,
        "one": ["only"],
        "list": [{"k": 1}, {"k": 2}],
        "object": {"x": [1]},
    }
    played = stage.flow(
        {"id": "up"}, {"id": "use", "type": type, "config": config}, edges=["up -> use"]
    )
    if played.error("use"):
        raise NodeError(played.error("use")["code"], played.error("use")["message"])
    return stage.calls[-1].config


class TestNames:
    def test_params_trigger_run_vars(self, stage: Any) -> None:
        (stage.folder / "cloudflow.yaml").write_text("variables:\n  team: ops\n")
        plan = stage.plan(
            {"id": "start", "type": "trigger.manual"},
            {
                "id": "a",
                "config": {
                    "value": "{{ [params.env, trigger.payload.size, vars.team, run.id] }}",
                    "at": "{{ run.started_at }}",
                    "attempt": "{{ run.attempt & run.flow }}",
                    "vars": "{{ $params.env & $vars.team }}",
                },
            },
            edges=["start -> a"],
            params={"type": "object", "properties": {"env": {"type": "string"}}},
        )
        played = stage.play(plan, "r1", params={"env": "dev"})
        assert played.output("a") == ["dev", 3, "ops", "r1"]
        assert stage.calls[-1].config["at"] == "2026-11-23T07:00:00+00:00"
        assert stage.calls[-1].config["attempt"] == "1played"
        assert stage.calls[-1].config["vars"] == "devops"

    def test_what_is_not_there_is_absent(self, stage: Any) -> None:
        stage.flow({"id": "a", "config": {"value": 1, "x": "{{ trigger }}"}})
        assert stage.calls[-1].config == {"value": 1}

    def test_a_skipped_node_is_absent(self, stage: Any) -> None:
        played = stage.flow(
            {"id": "way", "type": "test.pick", "config": {"port": "left"}},
            {"id": "no"},
            {"id": "yes"},
            {"id": "join", "config": {"value": "{{ $exists(nodes.no) }}"}},
            edges=["way.right -> no", "way.left -> yes", "no -> join", "yes -> join"],
        )
        assert played.output("join") is False

    def test_a_node_that_gave_nothing_is_null(self, stage: Any) -> None:
        played = stage.flow(
            {"id": "up", "type": "generic.transform", "config": {"value": "{{ {}.x }}"}},
            {"id": "use", "config": {"value": "{{ nodes.up = null }}"}},
            edges=["up -> use"],
        )
        assert played.nodes["up"] == {
            "status": "success",
            "output": None,
            "error": None,
            "attempts": 1,
        }
        assert played.output("use") is True

    def test_a_result_that_is_absent_is_null(self, stage: Any) -> None:
        played = stage.flow({"id": "r", "type": "flow.result", "config": {"value": "{{ {}.x }}"}})
        assert played.summary["status"] == "success"
        assert played.summary["result"] is None

    def test_a_region_may_hold_expressions(self, stage: Any) -> None:
        stage.on["a"] = lambda call, config: call.region
        plan = stage.plan(
            {"id": "each", "type": "logic.loop", "config": {"items": ["eu-west-1", "us-east-1"]}},
            {"id": "a"},
            edges=["each.item -> a"],
        )
        played = stage.play(_with_region(plan, "{{ item }}"))
        assert played.output("each")["results"] == ["eu-west-1", "us-east-1"]
        for text in ("{{ params.nope }}", "{{ 1 }}", "{{ '' }}"):
            played = stage.play(_with_region(plan, text))
            assert played.error("a")["message"] == "`region` must be the name of a region."

    def test_only_the_fields_of_a_loop_that_are_read_are_made(
        self, stage: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from cloudflow_dagster.runtime.stored import StoredLoop

        asked: list[frozenset[str]] = []
        part = StoredLoop.part

        def noting(self: StoredLoop, fields: frozenset[str]) -> Any:
            asked.append(fields)
            return part(self, fields)

        plan = stage.plan(
            {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
            {"id": "body"},
            {
                "id": "any",
                "type": "logic.if",
                "config": {"condition": "{{ $exists(nodes.each.errors[0]) }}"},
            },
            {"id": "no", "config": {"value": "{{ nodes.each.count }}"}},
            edges=["each.item -> body", "each.done -> any", "any.false -> no"],
        )
        monkeypatch.setattr(StoredLoop, "part", noting)
        run = stage.run(plan)
        from cloudflow_dagster.runtime.whole import run_plan

        run_plan(run, lambda _step, _indices: _Silent())
        assert asked == [frozenset({"errors"}), frozenset({"count"})]


def _with_region(plan: Plan, region: str) -> Plan:
    """Return the plan with a region for the body node; the compiler knows that it has no use."""
    each, *_ = plan.steps
    body = each.body[0].model_copy(update={"region": region})
    return plan.model_copy(update={"steps": (each.model_copy(update={"body": (body,)}),)})


class _Silent:
    def debug(self, message: str) -> None: ...
    def info(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...


class TestTypes:
    def test_a_string_that_is_one_expression_keeps_the_type(self, stage: Any) -> None:
        config = {
            "a": "{{ nodes.up.n }}",
            "b": "{{ nodes.up.none }}",
            "c": " {{ nodes.up.n }}",
            "d": "{{ nodes.up.list }}",
            "e": "{{ nodes.up.text = 't' }}",
        }
        assert config_of(stage, config) == {
            "a": 2**60 + 1,
            "b": None,
            "c": f" {2**60 + 1}",
            "d": [{"k": 1}, {"k": 2}],
            "e": True,
        }

    def test_absent_leaves_out_fields_drops_items_and_is_empty_in_text(self, stage: Any) -> None:
        config = {
            "gone": "{{ nodes.up.nope }}",
            "list": [1, "{{ nodes.up.nope }}", 2],
            "object": {"x": "{{ nodes.up.nope }}", "y": {"z": "{{ nodes.up.nope }}"}},
            "text": "[{{ nodes.up.nope }}]",
        }
        assert config_of(stage, config) == {
            "list": [1, 2],
            "object": {"y": {}},
            "text": "[]",
        }

    def test_null_in_text_is_null(self, stage: Any) -> None:
        config = {"a": "{{ nodes.up.none }}!", "b": "{{ nodes.up.object }}!"}
        assert config_of(stage, config) == {"a": "null!", "b": '{"x":[1]}!'}

    def test_braces_that_mean_nothing(self, stage: Any) -> None:
        assert config_of(stage, {"a": "{{ '{{' }} x }}"}) == {"a": "{{ x }}"}

    def test_text_of_the_outside_is_never_an_expression(self, stage: Any) -> None:
        stage.on["up"] = lambda call, config: "{{ params }}"
        stage.flow(
            {"id": "up"},
            {"id": "use", "config": {"value": "{{ nodes.up }}"}},
            edges=["up -> use.fed"],
        )
        assert stage.calls[-1].config == {"value": "{{ params }}", "fed": "{{ params }}"}


class TestTyped:
    def typed(self, stage: Any, **config: Any) -> dict[str, Any]:
        return config_of(stage, config, "test.typed")

    def test_a_single_value_is_wrapped_where_an_array_is_asked_for(self, stage: Any) -> None:
        found = self.typed(
            stage,
            names="{{ nodes.up.one[0] }}",
            either="{{ nodes.up.list[k=2].k }}",
            filters="{{ {'key': 'a', 'values': 'b'} }}",
        )
        assert found == {
            "names": ["only"],
            "either": [2],
            "filters": [{"key": "a", "values": ["b"]}],
        }

    def test_null_is_not_wrapped_where_it_is_allowed(self, stage: Any) -> None:
        assert self.typed(stage, either="{{ null }}") == {"either": None}

    def test_deep_inside_literals_too(self, stage: Any) -> None:
        found = self.typed(stage, filters=[{"key": "k", "values": "{{ nodes.up.text }}"}])
        assert found == {"filters": [{"key": "k", "values": ["t"]}]}

    def test_fed_fields_are_wrapped_and_checked(self, stage: Any) -> None:
        stage.on["up"] = lambda call, config: "single"
        plan = [{"id": "up"}, {"id": "use", "type": "test.typed"}]
        stage.flow(*plan, edges=["up -> use.names"])
        assert stage.calls[-1].config == {"names": ["single"]}
        played = stage.flow(*plan, edges=["up -> use.size"])
        assert played.error("use")["message"] == "`size` must be a whole number; it is text."

    def test_what_does_not_fit_is_said_in_plain_words_and_all_at_once(self, stage: Any) -> None:
        with pytest.raises(NodeError) as caught:
            self.typed(
                stage,
                name="{{ nodes.up.object }}",
                size="{{ 0 }}",
                level="{{ 'middle' }}",
                filters="{{ [{'values': ['x']}] }}",
            )
        assert caught.value.code == "InvalidConfig"
        assert caught.value.message == (
            "`name` must be text; it is an object. `size` must be at least 1. "
            "`level` must be one of `low`, `high`. `filters[0]` needs `key`."
        )

    def test_messages_never_show_values(self, stage: Any) -> None:
        with pytest.raises(NodeError) as caught:
            self.typed(stage, size="{{ 'hunter' & 2 }}", level="{{ 'hunter2' }}")
        assert "hunter2" not in caught.value.message

    def test_a_required_field_that_is_absent_is_named_with_its_expression(self, stage: Any) -> None:
        with pytest.raises(NodeError) as caught:
            self.typed(stage, filters=[{"key": "{{ nodes.up.nope }}"}])
        assert caught.value.message == (
            "`filters[0].key` is required, but `{{ nodes.up.nope }}` gave nothing."
        )

    def test_conditions_are_evaluated_when_they_are_called(self, stage: Any) -> None:
        for text, expected in (
            ("{{ nodes.up.n > 1 }}", True),
            ("{{ nodes.up.nope }}", False),
            ("{{ [] }}", False),
            (True, True),
        ):
            assert self.typed(stage, when=text)["when"]() is expected
        late = self.typed(stage, when="{{ $error('only now') }}")["when"]
        with pytest.raises(NodeError, match="only now"):
            late()

    def test_literal_fields_are_left_alone(self, stage: Any) -> None:
        code = "print('{{ nodes.up }}')"
        assert self.typed(stage, code=code, name="x") == {"code": code, "name": "x"}

    def test_an_error_names_field_and_expression(self, stage: Any) -> None:
        with pytest.raises(NodeError) as caught:
            self.typed(stage, names=["a", "{{ $error('why') }}"])
        assert caught.value.code == "ExpressionError"
        assert caught.value.message.startswith("`names[1]`: ")
        assert "why" in caught.value.message
        assert "{{ $error('why') }}" in caught.value.message


class TestSchemas:
    SCHEMA: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "self": {"$ref": "#"},
            "tags": {"type": "object", "additionalProperties": {"type": "array"}},
            "either": {"oneOf": [{"type": "string"}, {"type": "array"}]},
            "number": {"type": "number", "exclusiveMinimum": 0, "maximum": 9},
            "few": {"type": "array", "maxItems": 2, "minItems": 1},
            "short": {"type": "string", "maxLength": 3, "minLength": 2},
            "fixed": {"const": 1},
            "choice": {"anyOf": [{"type": "integer"}, {"type": "object", "required": ["x"]}]},
            "lost": {"$ref": "#/nowhere/at/all"},
            "circle": {"$ref": "#/properties/circle"},
        },
        "additionalProperties": False,
    }

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ({"self": {"self": {"nope": 1}}}, "`self.self` has no field `nope`."),
            ({"numbr": 1}, "The config has no field `numbr`. Did you mean `number`?"),
            ({"number": 0}, "`number` must be more than 0."),
            ({"number": 10}, "`number` must be at most 9."),
            ({"number": True}, "`number` must be a number; it is true or false."),
            ({"number": 5.0}, None),
            ({"few": []}, "`few` must not be empty."),
            ({"few": [1, 2, 3]}, "`few` may have at most 2 entries."),
            ({"short": "x"}, "`short` needs at least 2 characters."),
            ({"fixed": True}, "`fixed` must be one of `1`."),
            ({"fixed": 1}, None),
            ({"choice": "x"}, "`choice` must be a whole number or an object; it is text."),
            ({"choice": {}}, "`choice` needs `x`."),
            ({"choice": {"x": 1}}, None),
            ({"lost": [{}], "circle": 1, "tags": {"a": []}}, None),
            ({"tags": {"a": 1}}, "`tags.a` must be a list; it is a whole number."),
        ],
    )
    def test_fitting(self, value: Any, problem: str | None) -> None:
        found = [sentence for _, sentence in find_misfits(value, self.SCHEMA)]
        assert found == ([problem] if problem else [])

    def test_a_clouds_lists_of_values_do_not_count(self) -> None:
        assert find_misfits({"fixed": 2, "number": 99}, self.SCHEMA, values=False) == []
        assert find_misfits({"fixed": 2, "few": 1}, self.SCHEMA, values=False)

    def test_a_very_large_value_is_looked_at_in_bounded_time(self) -> None:
        value = {"few": [1] * 3, "tags": {str(n): [] for n in range(200_000)}}
        assert find_misfits(value, self.SCHEMA)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ({"few": 1}, {"few": [1]}),
            ({"either": "x"}, {"either": "x"}),
            ({"either": 1}, {"either": [1]}),
            ({"tags": {"a": "b"}}, {"tags": {"a": ["b"]}}),
            ({"self": {"few": "x"}}, {"self": {"few": ["x"]}}),
            ({"few": None}, {"few": None}),
            ({"unknown": 1}, {"unknown": 1}),
        ],
    )
    def test_wrapping(self, value: Any, expected: Any) -> None:
        assert wrapped(value, Schema.of(self.SCHEMA, self.SCHEMA)) == expected
