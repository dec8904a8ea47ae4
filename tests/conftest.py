"""What several tests share: a small Llama with a BPE tokenizer, made on the spot, and where real data may be."""

import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REAL_DATA = Path(os.environ.get("SSR_SHARED_DATA", ROOT.parent / "shared" / "data"))
CHAT_TEMPLATE = ("{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
                 "{% if add_generation_prompt %}<|assistant|>{% endif %}")


# Started in the background of a shell, this process ignores Ctrl-C, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Files whose tests take longest, however few they are: they go first, so that no process waits for the other at the end.
LONGEST = ("test_tutorials", "test_accelerate", "test_methods", "test_plugins", "test_compare", "test_whole_way", "test_site",
           "test_code_judge", "test_crash", "test_endpoint", "test_respond", "test_html_report")


def pytest_collection_modifyitems(items):
    place = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def real_data(name: str) -> Path:
    "A file of the publishers' data, or a skip that says which is missing."
    path = REAL_DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not in {REAL_DATA} (set SSR_SHARED_DATA to the folder that has it)")
    return path


def make_small_llama(folder: Path, texts: list[str], context: int = 2048) -> Path:
    """A random Llama of some ten thousand weights, and a byte-level BPE tokenizer trained on `texts`,
    saved as a model folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    bpe.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1000, special_tokens=special,
                                                       initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                                       show_progress=False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<|pad|>", eos_token="<|end|>",
                                        chat_template=CHAT_TEMPLATE)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=context, pad_token_id=0, eos_token_id=1, bos_token_id=None))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small_llama(tmp_path_factory) -> Path:
    "A small Llama whose tokenizer was trained on plain English."
    texts = [path.read_text() for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md")]
    return make_small_llama(tmp_path_factory.mktemp("llama"), texts)


@pytest.fixture(autouse=True)
def tables_as_they_were():
    """A row that a test adds to a table, by hand or by a file of its own, is gone after it: what is added by hand is
    sent to every worker, and a row of one test has no business in another."""
    from ssr_nb import tables
    from ssr_nb.tables import Table

    before = {kind: (dict(table), dict(table.origins)) for kind, table in Table.every.items()}
    yield
    for kind, (rows, origins) in before.items():
        table = Table.every[kind]
        for name in [name for name in table if name not in rows]:
            of_a_file = Path(table.origins[name]).is_absolute()
            if table.origins[name] == "here" or of_a_file:
                tables._done.discard(table.origins[name])  # the file adds its rows again where a test asks for it
                del table[name]
        for name, row in rows.items():
            if table.get(name) is not row:
                dict.__setitem__(table, name, row)
        table.origins = {name: origins.get(name, table.origins.get(name)) for name in table}
