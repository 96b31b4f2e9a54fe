"""Register a stack with ZenML and make it this checkout's active one."""

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import requests
from zenml.client import Client
from zenml.config.global_config import GlobalConfiguration
from zenml.enums import StackComponentType
from zenml.exceptions import EntityExistsError, ZenMLBaseException
from zenml.login.credentials_store import get_credentials_store
from zenml.models import FlavorUpdate
from zenml.stack.flavor import validate_flavor_source
from zenml.stack.utils import validate_stack_component_config
from zenml.zen_stores.rest_zen_store import RestZenStoreConfiguration

from facerecon.data.learned import LENGTH
from facerecon.errors import FaceReconError
from facerecon.workspace import PROJECT, clone_id, state_folder
from ops.lineage import commit
from ops.people_key import VARIABLE, read_key, secret_name
from ops.stack.files import API_KEY, LOCAL, Stack, read_stack
from ops.stack.probes import probe_s3, probe_tracker
from ops.stack.tracker import COMMIT, IMAGE, REGISTRY, SHARED, choose, create_experiment, mismatch, registry_of


def stack_name(name: str = LOCAL) -> str:
    """A stack's name in ZenML. The local one carries the clone, so that two clones never share it."""
    return f"facerecon-{clone_id() if name == LOCAL else name}"


def register_stack(name: str = LOCAL, new_registry: bool = False) -> str:
    """Register what is missing of a stack, change what differs, make it active in this checkout; returns its name.

    Safe to repeat. All that it needs is asked first: where something does not answer, nothing is registered. With
    ``new_registry`` the stack belongs to the registry that its tracker holds, whatever it belonged to.

    Raises:
        FaceReconError: no such stack, it cannot work, a server does not answer or refuses, or its tracker holds
            another registry than the stack's.
    """
    # it warns of each stack that is active on the way
    logging.getLogger("zenml").setLevel(logging.ERROR)
    GlobalConfiguration().analytics_opt_in = False
    stack = read_stack(name)
    tracker = probe_tracker(stack)
    if stack.shared is not None:
        probe_s3(stack)
    with _store_of(stack):
        if not (PROJECT / ".zen").is_dir():
            Client.initialize(PROJECT)
        client = Client()
        client.activate_root(PROJECT)
        called = stack_name(name)
        _check_components(stack)
        if name == LOCAL:
            (state_folder() / "artifacts").mkdir(parents=True, exist_ok=True)
        wanted, found = _registry(client, called), registry_of(tracker)
        if name != LOCAL and wanted is not None and found != wanted and not new_registry:
            uri = stack.components["experiment_tracker"].configuration["tracking_uri"]
            raise FaceReconError(mismatch(str(uri), wanted, found))
        create_experiment(None if name == LOCAL else tracker)
        registry = str(registry_of(tracker))
        labels = {REGISTRY: registry}
        if name != LOCAL:
            about = {SHARED: stack.shared, IMAGE: stack.image, COMMIT: commit()}
            labels |= {label: value for label, value in about.items() if value is not None}
        if stack.values:
            _keep_secrets(client, called, stack)
        if stack.shared is not None:
            _keep_people_key(client, registry)
        kinds = map(StackComponentType, stack.components)
        made = {kind: _component(client, called, kind, stack, labels) for kind in kinds}
        existing = client.list_stacks(name=called).items
        if existing:
            client.update_stack(existing[0].id, component_updates={kind: [each] for kind, each in made.items()})
        else:
            client.create_stack(called, made)
        client.activate_stack(called)
        choose(name, str(client.active_stack_model.id))
    return called


@contextmanager
def _store_of(stack: Stack) -> Iterator[None]:
    """ZenML's client speaks to the stack's server, or, if it has none, to this machine's store; stays so on success.

    Raises:
        FaceReconError: the server does not answer, refuses, or the environment names another.
    """
    settings = GlobalConfiguration()
    before = settings.store_configuration
    environment = os.environ.get("ZENML_STORE_URL")
    if stack.server is None:
        if environment is None and not settings.uses_local_store:
            settings.set_default_store()
    else:
        server = stack.server.rstrip("/")
        if environment not in (None, server):
            raise FaceReconError(
                f"ZENML_STORE_URL is {environment}, and infra/stacks/{stack.name}.yaml names {server}: unset it"
            )
        kept = get_credentials_store()
        key_before = kept.get_api_key(server)
        if stack.key:
            kept.set_api_key(server, stack.key)
        try:
            settings.set_store(RestZenStoreConfiguration(url=server))
        except (requests.RequestException, RuntimeError, ZenMLBaseException) as error:
            if key_before is not None:
                kept.set_api_key(server, key_before)
            elif stack.key:
                kept.clear_credentials(server)
            said = " ".join(str(error).split())[:200]
            raise FaceReconError(
                f"the ZenML server at {server} refuses or does not answer ({said}): see that it runs, and that "
                f"{API_KEY} holds a key of a service account there, or log in with `zenml login {server}`"
            ) from error
    try:
        yield
    except BaseException:
        if environment is None and settings.store_configuration.url != before.url:
            settings.set_store(before)
        raise


def _check_components(stack: Stack) -> None:
    """See that ZenML knows all kinds, flavors and keys of a stack, before the first is registered.

    A flavor that is not ZenML's own is made known to it here: keys can be checked by a known one only.

    Raises:
        FaceReconError: it does not.
    """
    for name, component in stack.components.items():
        where = f"infra/stacks/{stack.name}.yaml: components.{name}"
        try:
            kind = StackComponentType(name)
        except ValueError as error:
            kinds = ", ".join(known.value for known in StackComponentType)
            raise FaceReconError(f"{where}: no such kind; allowed here: {kinds}") from error
        try:
            if component.source is not None:
                _keep_flavor(component.flavor, component.source, kind)
            # ZenML looks references up, and these secrets are not kept yet
            filled = component.configuration | dict.fromkeys(component.secrets, "a secret")
            validate_stack_component_config(filled, component.flavor, kind)
        except (KeyError, ValueError, TypeError, ImportError) as error:
            said = " ".join(str(error).split())[:300]
            raise FaceReconError(f"{where}: ZenML does not accept it: {said}") from error


def _keep_flavor(name: str, source: str, kind: StackComponentType) -> None:
    """Register a flavor, or bring what is registered in line with its class.

    Raises:
        TypeError, ValueError: the class cannot be imported, is no flavor of this kind, or has another name.
    """
    _, flavor = validate_flavor_source(source, kind)
    if flavor.name != name:
        raise ValueError(f"source: {source} is the flavor {flavor.name}, and flavor says {name}")
    client = Client()
    known = client.list_flavors(name=name, type=kind, hydrate=True).items
    if not known:
        client.create_flavor(source, kind)
    elif (known[0].source, known[0].config_schema) != (source, flavor.config_schema):
        update = FlavorUpdate(source=source, config_schema=flavor.config_schema)
        client.zen_store.update_flavor(known[0].id, update)


def _registry(client: Client, called: str) -> str | None:
    """The registry that a registered stack belongs to; None where it belongs to none yet."""
    found = client.list_stack_components(name=called, type=StackComponentType.EXPERIMENT_TRACKER).items
    label = (found[0].labels or {}).get(REGISTRY) if found else None
    return None if label is None else str(label)


def _keep_secrets(client: Client, called: str, stack: Stack) -> None:
    """Put the stack's secrets into ZenML's secret store; components name them only."""
    values = {f"{kind}_{key}": value for kind, of in stack.values.items() for key, value in of.items()}
    if client.list_secrets(name=called).items:
        client.update_secret(called, add_or_update_values=values)
    else:
        client.create_secret(called, values)


def _keep_people_key(client: Client, registry: str) -> None:
    """See that ZenML's secret store has the key of people's hashes that a registry's machines share.

    Raises:
        FaceReconError: the environment gives another one than there is.
    """
    name, given = secret_name(registry), os.environ.get(VARIABLE)
    if not client.list_secrets(name=name).items:
        secret = secrets.token_bytes(LENGTH) if given is None else read_key(given)
        # of two machines at once one makes it
        with suppress(EntityExistsError):
            client.create_secret(name, {"key": secret.hex()})
    elif given is not None and read_key(given).hex() != client.get_secret(name).secret_values["key"]:
        raise FaceReconError(
            f"{VARIABLE} is another key than the registry has: unset it; hashes made with two keys compare with nothing"
        )


def _component(client: Client, called: str, kind: StackComponentType, stack: Stack, labels: dict[str, Any]) -> UUID:
    """The id of a component, registered or changed to what the file says.

    Raises:
        FaceReconError: one of another flavor is registered under its name.
    """
    wanted = stack.components[kind.value]
    configuration = wanted.configuration | {key: f"{{{{{called}.{kind.value}_{key}}}}}" for key in wanted.secrets}
    told = labels if kind is StackComponentType.EXPERIMENT_TRACKER else None
    existing = client.list_stack_components(name=called, type=kind).items
    if not existing:
        return client.create_stack_component(called, wanted.flavor, kind, configuration, labels=told).id
    component = existing[0]
    if component.flavor_name != wanted.flavor:
        raise FaceReconError(
            f"the {kind.value} '{called}' is registered with flavor {component.flavor_name}, and "
            f"infra/stacks/{stack.name}.yaml says {wanted.flavor}: remove the old one with "
            f"`zenml stack delete {called} --recursive`, and run again"
        )
    dropped = dict.fromkeys(component.configuration.keys() - configuration.keys())
    if dropped or any(component.configuration.get(key) != value for key, value in configuration.items()):
        client.update_stack_component(component.id, kind, configuration=configuration | dropped)
    if told and any((component.labels or {}).get(key) != value for key, value in told.items()):
        client.update_stack_component(component.id, kind, labels=told)
    return component.id
