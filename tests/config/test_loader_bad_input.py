"""Every way to write a configuration wrongly, by the message its author gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tsdiff_monitor.config.loader import LoadPlugin, load_config
from tsdiff_monitor.errors import ConfigError, ConfigProblem

BAD = Path(__file__).parent / "bad"

# File name -> for each expected problem: key path, a part of the problem, a part of the remedy.
EXPECTED = {
    "alias_contains_itself": [("", "an alias contains itself", "write the mapping out")],
    "alias_unknown": [("", "line 6, column 31: a value begins with *", "quotes")],
    "brackets_not_closed": [("", "line 14, column 1: not valid YAML", "check indentation, colons and quotes")],
    "duration_misspelt": [("monitors.hosts.step", "'1 minute' is not a duration", "write it like 30s, 5m")],
    "duration_without_unit": [("monitors.hosts.step", "60 is not a duration", "write it with its unit")],
    "duration_zero": [("monitors.hosts.step", "must be longer than 0s", "write it like 30s")],
    "empty": [("", "is empty", "readers, schedulers and monitors")],
    "fit_time_not_a_time": [("schedulers.minutely.start_from", "must be a time of day", 'like "03:00"')],
    "fit_window_too_short": [
        ("models.default.fit_window", "2h is too short for monitor 'hosts': 4 windows of 64 rows", "4h16m or more")
    ],
    "fit_window_beyond_what_is_kept": [
        ("models.default.fit_window", "reaches back further than events are kept, 28d", "settings.keep_events to 60d")
    ],
    "indentation_with_tab": [("", "line 11, column 1: not valid YAML: a tab", "indent with spaces")],
    "interval_shorter_than_step": [
        ("monitors.hosts.step", "interval shorter than step", "raise schedulers.minutely.infer_every to 5m")
    ],
    "keep_groups_too_short": [
        ("settings.keep_groups", "must be 1d or longer", "a group that is away for an hour would lose its model")
    ],
    "key_is_a_list": [("", "line 11, column 7: not valid YAML: a key of `monitors.hosts` is not a text", "check")],
    "key_of_plugin_unknown": [
        ("readers.prom.url", "is required", "add it: Address of the source"),
        ("readers.prom.uri", "unknown key", "did you mean `url`? valid keys: url"),
    ],
    "key_of_query_unknown": [
        ("monitors.hosts.queries.cpu.detection_directon", "unknown key", "did you mean `detection_direction`?")
    ],
    "key_unknown": [("monitors.hosts.group_by", "unknown key", "did you mean `groupby`? valid keys: reader, model,")],
    "key_used_twice": [
        ("monitors.hosts.step", "key used twice, in lines 11 and 12", "rename or remove one"),
        ("monitors.hosts.step", "interval shorter than step", "lower step to 1m"),
    ],
    "link_unfit": [
        ("monitors.hosts.links", "the link 'dashboard' has {instance}", "{labels.NAME}"),
        ("monitors.pods.links", "the link 'runbook' is no address", "https://host/path"),
    ],
    "list_instead_of_sections": [("", "is not a mapping of sections", "readers, schedulers and monitors")],
    "list_written_as_text": [("monitors.hosts.notify", "must be a list", "write it like [a, b]")],
    "listen_address_ipv6_without_brackets": [
        ("settings.web.listen_address", "has a host with colons", "in brackets, like [::1]:8490")
    ],
    "listen_address_without_host": [("settings.web.listen_address", "has no host", "0.0.0.0:8490 for every address")],
    "listen_address_without_port": [("settings.web.listen_address", "has no port", "write it like 127.0.0.1:8490")],
    "model_adapts_nothing_shared": [
        ("models.default", "`adapt_steps` has no effect without `shared: true`", "leave it out, or share the network")
    ],
    "model_key_of_another_type": [
        ("models.default.fit_steps", "unknown key", "valid keys: type, method, window, fit_window, period, forecaster,")
    ],
    "model_key_without_effect": [
        ("models.default", "`period` has no effect with method 'smoothing'", "leave it out, or use 'seasonal'")
    ],
    "model_precision_without_runtime": [
        ("models.default", "`precision` has no effect with runtime 'torch'", "leave it out, or use runtime 'onnx'")
    ],
    "model_shared_but_tied_to_metrics": [
        ("models.default", "`network: time` is tied to the metrics of one group", "leave it out, or use two_way")
    ],
    "model_type_unknown": [
        (
            "models.default.type",
            "there is no kind of model 'basline'",
            "did you mean `baseline`? types: diffusion, baseline, csdi_reference",
        )
    ],
    "model_unknown": [("monitors.hosts.model", "there is no model named 'small'", "add it to the section `models`")],
    "monitor_without_queries": [("monitors.hosts.queries", "is empty", "give at least 1 entry")],
    "name_listed_twice": [("monitors.hosts.notify", "names oncall more than once", "name each once")],
    "no_monitors": [("monitors", "there is none", "add at least one monitor")],
    "notifier_unknown": [("monitors.hosts.notify[0]", "there is no notifier named 'oncal'", "did you mean `oncall`?")],
    "number_infinite": [("monitors.hosts.alarms_per_week", "must be a finite number", "")],
    "number_too_small": [("monitors.hosts.alarms_per_week", "must be greater than 0", "")],
    "number_written_as_text": [("settings.workers", "must be a whole number", "")],
    "plugin_entry_is_text": [("notifiers.oncall", "must be a mapping", "write `type` and the other keys below it")],
    "plugin_type_missing": [("notifiers.oncall.type", "is required", "say which kind of notifier it is")],
    "plugin_type_unknown": [("readers.prom.type", "there is no reader of type 'prometheuss'", "installed types: ")],
    "plugin_without_config_class": [
        ("notifiers.oncall.type", "the plug-in NoConfig has no configuration class", "report this to the plug-in's")
    ],
    "query_name_used_twice": [
        ("monitors.hosts.queries.cpu", "query name used twice, in lines 13 and 15", "rename or remove one of them")
    ],
    "query_with_empty_expr": [
        ("monitors.hosts.queries.cpu.expr", "is empty", "write a query in the reader's language"),
        ("monitors.hosts.queries.memory.expr", "is empty", "give at least 1 character"),
    ],
    "query_option_of_another_reader": [
        ("monitors.hosts.queries.cpu.offset", "readers of type 'fake' do not know it", "it takes no options")
    ],
    "query_step_and_tz": [
        ("monitors.hosts.queries.zone.tz", "'Europe/Berln' is not a known", "did you mean `Europe/Berlin`"),
        ("monitors.hosts.queries.range.data_range", "lowest value 5 must be below its highest 1", "[low, high]"),
    ],
    "query_step_unfit": [
        ("monitors.hosts.queries.fine.step", "must be a multiple of the monitor's step, 5m", "coarser"),
        ("monitors.hosts.queries.uneven.step", "must be a multiple of the monitor's step, 5m", "coarser"),
        ("monitors.hosts.queries.day.tz", "has no effect on steps that are not whole days", "`step: 1d`"),
    ],
    "query_with_unknown_direction": [
        (
            "monitors.hosts.queries.cpu.detection_direction",
            "must be 'both', 'above_expected' or 'below_expected'",
            "did you mean `above_expected`?",
        )
    ],
    "reader_unknown": [
        ("monitors.hosts.reader", "there is no reader named 'prm'", "did you mean `prom`? readers: prom")
    ],
    "required_key_missing": [("monitors.hosts.scheduler", "is required", "add it: Name of the scheduler")],
    "scheduler_unknown": [
        ("monitors.hosts.scheduler", "there is no scheduler named 'hourly'", "schedulers: minutely"),
    ],
    "secret_file_missing": [
        (
            "notifiers.oncall.basic_auth.password_file",
            "no-such-folder/password: the secret cannot be read: No such file",
            "name a readable file",
        )
    ],
    "secret_inline_and_by_file": [
        ("notifiers.oncall.token", "is given together with `token_file`", "keep one of the two")
    ],
    "section_is_a_list": [
        ("schedulers", "must be a mapping", "write its entries below it"),
        ("monitors.hosts.scheduler", "there is no scheduler named 'minutely'", "add it to the section `schedulers`"),
    ],
    "section_unknown": [
        ("monitor", "unknown section", "did you mean `monitors`? sections: settings, readers,"),
        ("monitors", "there is none", "add at least one monitor"),
    ],
    "tag_unknown": [("", "line 6, column 31: a value begins with !", "quotes")],
    "timezone_unknown": [("settings.timezone", "'Europe/Berln' is not a known", "did you mean `Europe/Berlin`")],
    "variable_name_malformed": [
        ("monitors.hosts.queries.cpu", "`${` is not followed by the name of a variable", "`$${` for a literal `${`")
    ],
    "variable_unset": [
        ("schedulers.minutely.infer_every", "the environment variable TSDIFF_UNSET is not set", "set TSDIFF_UNSET")
    ],
    "writer_unknown": [("monitors.hosts.write[0]", "there is no writer named 'scores'", "add it to the section")],
}


def problems_of(path: Path, load: LoadPlugin) -> tuple[ConfigProblem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={}, load=load)
    assert caught.value.file == str(path)
    assert all(line.startswith(f"{path}: ") for line in str(caught.value).splitlines())
    assert "hunter2" not in str(caught.value)
    return caught.value.problems


def test_every_bad_file_is_expected() -> None:
    """No bad file lies about untested, and none that is tested is missing."""
    assert {path.stem for path in BAD.glob("*")} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_message(name: str, load: LoadPlugin) -> None:
    """Each mistake is reported with the file, its key path, what is wrong and how to fix it, and nothing else is."""
    problems = problems_of(BAD / f"{name}.yml", load)
    assert [problem.key for problem in problems] == [key for key, _, _ in EXPECTED[name]]
    for problem, (_, what, remedy) in zip(problems, EXPECTED[name], strict=True):
        assert what in problem.problem
        assert remedy in problem.remedy
        assert bool(problem.remedy) == bool(remedy)


def test_all_problems_at_once(tmp_path: Path, load: LoadPlugin) -> None:
    """Mistakes in different sections, and of different kinds, are all reported by one reading."""
    path = tmp_path / "c.yml"
    path.write_text(
        "settings: {worker: 1}\nreaders: {prom: {type: nope}}\nschedulers: {s: {infer_every: soon}}\n"
        "monitors: {m: {reader: prom, scheduler: t, step: 1m, step: 1m, queries: {q: '${GONE}'}, grouby: [a]}}\n"
    )
    keys = {problem.key for problem in problems_of(path, load)}
    assert keys == {
        "settings.worker",
        "readers.prom.type",
        "schedulers.s.infer_every",
        "monitors.m.scheduler",
        "monitors.m.step",
        "monitors.m.queries.q",
        "monitors.m.grouby",
    }


def test_unreadable_files(tmp_path: Path, load: LoadPlugin) -> None:
    """A file that is absent, a folder, not text, or holds control characters is named with the reason."""
    assert "No such file" in problems_of(tmp_path / "absent.yml", load)[0].problem
    assert "cannot be read" in problems_of(tmp_path, load)[0].problem
    path = tmp_path / "latin1.yml"
    path.write_bytes(b"settings: {timezone: \xe9}")
    assert "not UTF-8" in problems_of(path, load)[0].problem
    path.write_bytes(b"settings: {timezone: \x01}")
    assert "a character that YAML does not allow" in problems_of(path, load)[0].problem


def test_deep_nesting_is_an_error_not_a_crash(tmp_path: Path, load: LoadPlugin) -> None:
    """A hostile depth of brackets ends in a message."""
    path = tmp_path / "deep.yml"
    path.write_text("settings: " + "[" * 5000)
    assert "nested too deeply" in problems_of(path, load)[0].problem


@pytest.mark.parametrize(
    "entry",
    [
        "{type: fake, token: 'hunter2 hunter2'}",
        "{type: fake, token: [hunter2]}",
        "{type: fake, token: {hunter2x: hunter2}}",
        "{type: fake, headers: {x: hunter2-header}}",
        "{type: fake, headers: hunter2}",
        "{type: fake, basic_auth: {password: hunter2}}",
        "{type: fake, token: *hunter2}",
        "{type: fake, token: !hunter2 x}",
        "{type: fake, token: !!int hunter2}",
        "{type: fake, token: !!bool hunter2}",
        "{type: fake, token: !!timestamp hunter2}",
        "{type: fake, token: &hunter2 x, headers: {a: &hunter2 b}}",
        '{type: fake, token: "hunter2${',
    ],
)
def test_no_message_quotes_a_secret(entry: str, tmp_path: Path, load: LoadPlugin) -> None:
    """No message about a secret holds it, not even the words of a careless validator."""
    path = tmp_path / "c.yml"
    path.write_text(f"notifiers:\n  oncall: {entry}\n")
    assert not any("hunter2" in str(problem) for problem in problems_of(path, load))
