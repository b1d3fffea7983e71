"""The settings and the selectors in service, stored so that a restarted placement actor takes them up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ray

from placement.control_plane.key_value_store import KeyValueStore
from placement.control_plane.selector_store import SelectorStore
from placement.control_plane.settings_store import load_settings, save_settings
from placement.messages.control import Settings
from placement.prediction.selector import Selector
from placement.prediction.selector_file import selector_of, shipped_selector
from placement.scheduling.candidates import Policy
from placement.scheduling.energy_price import price_of_data
from placement.scheduling.policies.registry import policy_of, priced
from placement.scheduling.trial_budget import DEFAULT_SHARE

DEFAULT_POLICY = "balanced"  # with empty queues it decides as `selector` does


class Configuration:
    """The cluster's settings and its stack of selectors; each change is stored before it is returned.

    settings, selector: those of a first start; the shipped selector where `selector` is None. An actor that Ray has
    restarted takes the stored ones.
    """

    def __init__(self, store: KeyValueStore, settings: Settings, selector: dict[str, Any] | None) -> None:
        self._store = store
        self.settings = settings
        self.selectors = SelectorStore(store)
        stored = load_settings(store, settings)
        if stored and ray.get_runtime_context().was_current_actor_reconstructed:
            self.settings, selectors = stored
            self.selectors.restore(selectors)
        else:
            self.selectors.serve(shipped_selector() if selector is None else selector_of(selector))
            self._save()

    @property
    def selector(self) -> Selector:
        """The selector in service."""
        return self.selectors.current

    @property
    def policy(self) -> Policy:
        """The cluster's policy, with the price of a joule."""
        price = self.settings.seconds_per_joule
        return priced(policy_of(self.settings.policy or DEFAULT_POLICY), price_of_data(price))

    @property
    def exploration(self) -> float | None:
        """The share of device seconds for trials; a learner, which lives by them, has the default where none is set."""
        share = self.settings.exploration
        return DEFAULT_SHARE if share is None and self.settings.learn else share

    def change(self, settings: Settings, selector: dict[str, Any] | None) -> None:
        """Takes over the settings that are not None. The selector is checked before anything changes."""
        if selector is not None:
            self.selectors.serve(selector_of(selector))
        self.settings = replace(self.settings, **{n: value for n, value in vars(settings).items() if value is not None})
        self._save()

    def swap(self, selector: dict[str, Any]) -> None:
        """Puts a selector in service; a broken one is refused and the old one stays."""
        self.selectors.serve(selector_of(selector))
        self._save()

    def rollback(self) -> None:
        """Puts the selector before the current one back in service."""
        self.selectors.rollback()
        self._save()

    def _save(self) -> None:
        save_settings(self._store, self.settings, self.selectors.to_list())
