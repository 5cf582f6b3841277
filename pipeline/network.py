"""Run a sentence-transformers model over texts, whatever its modules are: tokenised once, cores side by side."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.batching import cut_batches
from pipeline.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sentence_transformers import SentenceTransformer
    from torch import Tensor, nn

    from pipeline.vectors import Matrix

# On a CPU only texts of one length share a pass: nothing is padded, and what is computed stays in the cache. Where this
# was tried, a vector then has the same bits whatever texts are beside it. A graphics processor has to be filled.
CPU_BUDGET = 2048
DEVICE_BUDGET = 32_768


class Network:
    """A loaded model that embeds texts.

    Attributes:
        token_budget: tokens of a forward pass, padding included; device: `cpu`, `cuda` or another kind.
    """

    def __init__(self, model: SentenceTransformer, token_budget: int | None = None) -> None:
        """Make a model ready; without a budget it is 2048 tokens on a CPU, 32,768 elsewhere."""
        self._model = model.eval()
        self.device: str = model.device.type
        self.token_budget = token_budget or (CPU_BUDGET if self.device == "cpu" else DEVICE_BUDGET)
        if self.device == "cpu":
            speed_up_linear(model)

    def embed(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Matrix]]:
        """Yield places of texts and their unit vectors, float32 `(places, 768)`, batch by batch, the longest first.

        The tokens of all texts are held meanwhile. The order and the vectors are the same in every run on a machine.

        Raises:
            ModelError: the model does not say which tokens are padding.
        """
        if not texts:
            return
        tokens = self._model.preprocess(list(texts))
        if "attention_mask" not in tokens:
            where = type(self._model[0]).__name__
            raise ModelError(where, "gives no attention mask", "use a model that begins with a transformer")
        lengths = tokens["attention_mask"].sum(dim=1).tolist()
        batches = cut_batches(lengths, self.token_budget, padded=self.device != "cpu")
        with self._open_workers() as workers:
            yield from zip(batches, workers.map(partial(self._compute, tokens), batches), strict=True)

    @contextlib.contextmanager
    def _open_workers(self) -> Iterator[ThreadPoolExecutor]:
        """Let each core work on a batch of its own: quicker than all on one, and the bits do not depend on how many."""
        import torch

        threads = torch.get_num_threads()
        with ThreadPoolExecutor(threads if self.device == "cpu" else 1) as workers:
            torch.set_num_threads(1)
            try:
                yield workers
            finally:
                workers.shutdown(cancel_futures=True)
                torch.set_num_threads(threads)

    def _compute(self, tokens: dict[str, Any], batch: list[int]) -> Matrix:
        """Return the unit vectors of a batch, float32 whatever they were computed in."""
        import torch

        with torch.inference_mode():
            features = select_features(tokens, batch)
            if self.device != "cpu":
                features = {name: self._send(value) for name, value in features.items()}
            vectors = self._model(features)["sentence_embedding"].float()
            unit: Matrix = torch.nn.functional.normalize(vectors, dim=1).cpu().numpy()
        return unit

    def _send(self, value: Any) -> Any:
        """Return a tensor on the model's device; from pinned memory it travels while the processor goes on."""
        if not hasattr(value, "to"):
            return value
        source = value.pin_memory() if self.device == "cuda" else value
        return source.to(self._model.device, non_blocking=True)


def select_features(tokens: dict[str, Any], batch: list[int]) -> dict[str, Any]:
    """Return what the model takes for a batch: rows of what was tokenised together, without needless padding.

    Where nothing is padded there is no attention mask either: models then skip the work of making one.
    """
    mask = tokens["attention_mask"]
    used = mask[batch].any(dim=0)
    features = {name: _cut(value, mask.shape, batch, used) for name, value in tokens.items()}
    if features["attention_mask"].all():
        del features["attention_mask"]
    return features


def _cut(value: Any, shape: tuple[int, ...], batch: list[int], used: Tensor) -> Any:
    """Return rows and columns of a tensor that has one entry a token; anything else is as it was."""
    return value[batch][:, used] if getattr(value, "shape", None) == shape else value


def speed_up_linear(model: SentenceTransformer) -> None:
    """Let the float32 linear layers of a model on a CPU multiply by oneDNN, their weights laid out for it once.

    PyTorch keeps this for compiled models and otherwise multiplies by MKL, which is slower on processors of other
    makers. A PyTorch without these operators multiplies as it does.
    """
    import torch

    operators = torch.ops.mkldnn
    if not hasattr(operators, "_linear_pointwise") or not torch.backends.mkldnn.is_available():
        return
    for module in model.modules():
        if type(module) is torch.nn.Linear and module.weight.dtype == torch.float32:
            weight = operators._reorder_linear_weight(module.weight.detach(), None)  # noqa: SLF001 - has no other name
            module.forward = partial(_multiply, weight, module)


def _multiply(weight: Tensor, layer: nn.Linear, values: Tensor) -> Tensor:
    import torch

    return torch.ops.mkldnn._linear_pointwise(values, weight, layer.bias, "none", [], "")  # noqa: SLF001 - as above
