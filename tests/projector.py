"""TensorBoard's embedding projector, without a browser."""

import json
from pathlib import Path

from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client


class Projector:
    """TensorBoard's projector over a folder, asked as its page asks."""

    def __init__(self, folder: Path) -> None:
        self.apps = ProjectorPlugin(TBContext(logdir=str(folder))).get_plugin_apps()
        (embedding,) = json.loads(self._ask("/info", run="."))["embeddings"]
        assert embedding["sprite"]["singleImageDim"] == [28, 28]
        self.name, self.shape = embedding["tensorName"], embedding["tensorShape"]

    def get(self, what: str) -> bytes:
        return self._ask(f"/{what}", run=".", name=self.name)

    def _ask(self, route: str, **query: str) -> bytes:
        response = Client(self.apps[route]).get(query_string=query)
        assert response.status_code == 200, response.text
        return response.data
