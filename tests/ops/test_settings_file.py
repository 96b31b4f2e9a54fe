import pytest
from pydantic import BaseModel
from zenml.config.base_settings import BaseSettings

from facerecon.errors import FaceReconError
from facerecon.inference.settings import use_settings
from facerecon.retraining.settings import retraining_run
from facerecon.workspace import PROJECT
from ops.settings_file import check_schedule, check_stack_settings, read_run_file

STEPS = ("align", "train")


@pytest.fixture
def refused(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "run.yaml"
        path.write_text(text)
        with pytest.raises(FaceReconError) as caught:
            read_run_file(path, STEPS)
        assert "\n" not in caught.value.message
        assert str(path) in caught.value.message
        return caught.value.message

    return write


@pytest.mark.parametrize("path", sorted((PROJECT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_is_valid_and_named_like_its_file(path):
    if path.stem == "reconstruction":
        assert read_run_file(path, ("reconstruct",), use_settings).settings.name == path.stem
    elif path.stem in ("nightly", "retraining"):  # its name says whose champion
        assert read_run_file(path, STEPS, retraining_run).settings.name == "demo"
    else:
        assert read_run_file(path, STEPS).settings.name == path.stem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("paramters: {name: x}", "paramters: no such key; allowed here: parameters"),
        ("parameters: {trainin: {}}", "parameters.trainin: no such key"),
        ("parameters: {training: {losses: {hols: 3}}}", "parameters.training.losses.hols: no such key"),
        ("parameters: {alignment: {size: 60}}", "parameters.alignment.size = 60"),
        ("parameters: {model: {options: {features: [3]}}}", "parameters.model"),
        ("parameters: {task: nonsense}", "parameters.task: task 'nonsense' not among inpainting"),
        ("parameters: {task: 3}", "parameters.task = 3"),
        ("parameters: {task: [a]}", "parameters.task = ['a']"),
        ("parameters: {data: {source: nonsense}}", "source: 'nonsense' not among archive"),
        ("parameters: {model: {family: nonsense}}", "model family 'nonsense' not among"),
        ("parameters: {training: {init_from: 3}}", "parameters.training.init_from = 3"),
        ("run_name: mine", "run_name: no such key"),
        (
            "schedule: {interval_second: 86400}",
            "schedule = {'interval_second': 86400}: expected cron_expression and nothing else",
        ),
        ("schedule: nightly", "schedule = 'nightly': expected cron_expression"),
        ("schedule: {cron_expression: '0 3'}", "schedule.cron_expression = '0 3': "),
        ("schedule: {cron_expression: '0 3 l * *'}", "cron knows no last day and no nth weekday"),
        ("steps: {alin: {enable_cache: true}}", "steps.alin: no such key; allowed here: align, train"),
        ("steps: {align: {enable_cach: true}}", "steps.align.enable_cach: no such key"),
        ("parameters: [1, 2]", "must hold keys and values"),
        ("- a\n- b", "holds no settings"),
        ("", "holds no settings"),
        ("a: [", "not valid YAML"),
        ("parameters:\n  seed: 1\n  name: x\n  seed: 2", "seed: stands twice, in lines 2 and 4"),
        ("parameters: {training: {learning_rate: yes}}", "training.learning_rate = 'yes': a number is expected"),
        ("parameters: {training: {learning_rate: true}}", "training.learning_rate = True: a number is expected"),
        ("parameters: {training: {steps: 0100}}", "training.steps = '0100': a number is expected: plain, without"),
        ("parameters: {training: {steps: 10:00}}", "training.steps = '10:00': a number is expected"),
        ('parameters: {data: {path: "a\\0b"}}', "parameters.data.path holds '\\x00', a control character"),
        ("extra: 5", "extra = 5"),
        ("enable_cache: maybe", "enable_cache = 'maybe'"),
        ("tags: 5", "tags = 5"),
        ("settings: 5", "settings = 5"),
        ("settings: {orchestra: {}}", "settings.orchestra: no such key; allowed here: alerter"),
        ("settings: {resources: {cpu: 1}}", "settings.resources.cpu: no such key; allowed here: cpu_count"),
        ("settings: {resources: {cpu_count: many}}", "cpu_count = 'many'"),
        ("steps: {train: {settings: {dockr: {}}}}", "steps.train.settings.dockr: no such key"),
        ("steps: {train: {enable_cache: maybe}}", "steps.train.enable_cache = 'maybe'"),
        ("steps: {train: {extra: 5}}", "steps.train.extra = 5"),
        ("steps: {train: {parameters: {seed: 7}}}", "steps.train.parameters: a step takes its settings from the pipe"),
        ("parameters: " + "[" * 3000, "nested too deep"),
        ("extra: {a: " + "[" * 40 + "]" * 40 + "}", "nested too deep: at most 30 levels"),
        ("extra: &all [*all]", "holds more than 100000 values"),
        ("validation: !!python/name:os.system", "not valid YAML"),
    ],
)
def test_a_mistake_is_named_where_it_is(refused, text, said):
    assert said in refused(text)


def test_settings_for_what_the_active_stack_has_not_are_refused(tmp_path, zenml, source_root):
    stack, path = zenml.active_stack, tmp_path / "run.yaml"
    flavor = stack.orchestrator.flavor

    def check(settings: dict, step: dict | None = None) -> None:
        check_stack_settings(path, {"settings": settings, "steps": {"train": {"settings": step or {}}}}, stack)

    check({"orchestrator": {}, f"orchestrator.{flavor}": None, "resources": {"cpu_count": 1}}, {"docker": {}})
    with pytest.raises(FaceReconError, match=r"run.yaml: settings.orchestrator.kubernetes: the active stack '.*' has"):
        check({"orchestrator.kubernetes": {}})
    with pytest.raises(FaceReconError, match=r"steps.train.settings.step_operator: .* allowed here: .*artifact_store"):
        check({}, {"step_operator": {}})
    with pytest.raises(FaceReconError, match=r"settings.orchestrator.cpus: no such key; allowed here: \w+"):
        check({"orchestrator": {"cpus": 3}})
    artifact_store = f"artifact_store.{stack.artifact_store.flavor}"
    assert stack.artifact_store.settings_class is None
    check({artifact_store: {}})


def test_a_slip_deep_in_a_components_settings_is_named(tmp_path, zenml, source_root, monkeypatch):
    stack = zenml.active_stack

    class Node(BaseModel, extra="forbid"):
        cores: int

    class Known(BaseSettings):
        nodes: tuple[Node, ...] = ()

    monkeypatch.setattr(type(stack.orchestrator), "settings_class", Known)
    settings = {"orchestrator": {"nodes": [{"core": 1}]}}
    with pytest.raises(FaceReconError, match=r"run.yaml: settings.orchestrator.nodes.0.cores = .*: Field required"):
        check_stack_settings(tmp_path / "run.yaml", {"settings": settings}, stack)


def test_a_schedule_is_refused_where_the_orchestrator_starts_nothing_by_itself(tmp_path, zenml):
    path = tmp_path / "run.yaml"
    path.write_text("schedule: {cron_expression: 0 3 * * fri-mon}\n")
    file = read_run_file(path, STEPS)
    assert file.cron.plain() == "0 3 * * 0,1,5,6"
    assert file.zenml == {}
    with pytest.raises(FaceReconError, match="the local orchestrator starts nothing by itself: take this key out, and"):
        check_schedule(path, file, zenml.active_stack)
    path.write_text("{}\n")
    check_schedule(path, read_run_file(path, STEPS), zenml.active_stack)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FaceReconError, match=r"none\.yaml: cannot be read"):
        read_run_file(tmp_path / "none.yaml", STEPS)


def test_what_a_file_says_to_zenml_is_handed_on(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("enable_cache: false\ntags: [mine]\nparameters: {name: mine}\n")
    file = read_run_file(path, STEPS)
    assert file.zenml == {"enable_cache": False, "tags": ["mine"]}
    assert file.settings.name == "mine"
    assert isinstance(file.settings.validation.suites, dict), "the suites are read, so that the cache key has them"
