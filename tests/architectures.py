"""Small random models of the architectures that people use, each with a tokenizer trained on
the spot and a template in the family's format.

The templates are short re-implementations of the published formats, written for these tests: they keep what matters to
us (marks, what is trimmed, what is refused, what is written around thinking) and leave out tools and the like."""

from pathlib import Path

import torch

# Llama 3.1: a system turn of its own with today's date, header marks, everything trimmed.
LLAMA3 = """{{- bos_token }}{%- if strftime_now is defined %}{%- set today = strftime_now("%d %b %Y") %}{%- else %}\
{%- set today = "26 Jul 2024" %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] | trim %}\
{%- set messages = messages[1:] %}{%- else %}{%- set system = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: " + today + "\\n\\n" + system + "<|eot_id|>" }}
{%- for m in messages %}{{- "<|start_header_id|>" + m['role'] + "<|end_header_id|>\\n\\n" + m['content'] | trim + \
"<|eot_id|>" }}{%- endfor %}
{%- if add_generation_prompt %}{{- "<|start_header_id|>assistant<|end_header_id|>\\n\\n" }}{%- endif %}"""

# Qwen 2.5: a system turn of its own where none is given, a line break after each turn.
QWEN25 = """{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\\nYou are a helpful \
assistant.<|im_end|>\\n' }}{%- endif %}
{%- for m in messages %}{{- '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

# Qwen 3: a thinking block before the last answer, an empty one where thinking is off; thoughts
# of earlier turns are dropped.
QWEN3 = """{%- for m in messages %}{%- if m['role'] == 'assistant' %}
{%- set thought = '' %}{%- set said = m['content'] %}
{%- if '</think>' in said %}{%- set thought = said.split('</think>')[0].split('<think>')[-1].strip('\\n') %}\
{%- set said = said.split('</think>')[-1].lstrip('\\n') %}{%- endif %}
{{- '<|im_start|>assistant\\n' }}{%- if loop.last %}{{- '<think>\\n' + thought + '\\n</think>\\n\\n' }}{%- endif %}\
{{- said + '<|im_end|>\\n' }}
{%- else %}{{- '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{%- endif %}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is defined and enable_thinking \
is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"""

# Mistral 7B Instruct v0.2: [INST] in plain text, no system turn, turns must alternate.
MISTRAL = """{{- bos_token }}{%- for m in messages %}{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{%- endif %}
{%- if m['role'] == 'user' %}{{- ' [INST] ' + m['content'] + ' [/INST]' }}{%- else %}\
{{- ' ' + m['content'] + eos_token }}{%- endif %}{%- endfor %}"""

# Gemma: the assistant is called model, no system turn, everything trimmed.
GEMMA = """{{- bos_token }}{%- if messages[0]['role'] == 'system' %}{{- raise_exception('System role not supported') }}\
{%- endif %}
{%- for m in messages %}{{- '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' + \
m['content'] | trim + '<end_of_turn>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}"""

# Qwen 2.5's with the marks that some templates have around what the assistant says.
MARKED = QWEN25.replace("{%- for m in messages %}", """{%- for m in messages %}{%- if m['role'] == 'assistant' %}\
{{- '<|im_start|>assistant\\n' }}
{%- generation %}{{- m['content'] + '<|im_end|>' }}{%- endgeneration %}{{- '\\n' }}{%- else %}\
""").replace("{%- endfor %}", "{%- endif %}{%- endfor %}")

FAMILIES = {  # template, pad, bos, eos, further marks, words at the front of a text (SentencePiece) or bytes
    "llama3": (LLAMA3, "<|finetune_right_pad_id|>", "<|begin_of_text|>", "<|eot_id|>",
               ["<|start_header_id|>", "<|end_header_id|>"], "bytes"),
    "qwen25": (QWEN25, "<|endoftext|>", None, "<|im_end|>", ["<|im_start|>"], "bytes"),
    "qwen3": (QWEN3, "<|endoftext|>", None, "<|im_end|>", ["<|im_start|>"], "bytes"),
    "mistral": (MISTRAL, "<unk>", "<s>", "</s>", [], "first"),
    "gemma2": (GEMMA, "<pad>", "<bos>", "<eos>", ["<start_of_turn>", "<end_of_turn>"], "never"),
    "gemma3": (GEMMA, "<pad>", "<bos>", "<eos>", ["<start_of_turn>", "<end_of_turn>"], "never"),
    "marked": (MARKED, "<|endoftext|>", None, "<|im_end|>", ["<|im_start|>"], "bytes"),
}
TEXTS = ["Where is the lamp of Mira? It is in the attic.", "assistant user model system helpful [INST] [/INST]",
         "Answer in one word.", "Today Date: 26 Jul 2024"] * 4


def make_tokenizer(family: str, texts: list[str] = TEXTS, size: int = 500):
    """A byte-level BPE tokenizer, or one as SentencePiece makes them, of about `size` tokens, trained on a few
    sentences, with the marks of the family."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    template, pad, bos, eos, marks, scheme = FAMILIES[family]
    special = list(dict.fromkeys(filter(None, [pad, bos, eos, "<unk>", *marks])))
    bpe = Tokenizer(models.BPE(unk_token=None if scheme == "bytes" else "<unk>"))
    if scheme == "bytes":
        bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
        bpe.decoder = decoders.Metaspace(prepend_scheme=scheme)
        alphabet = [chr(c) for c in range(33, 127)] + ["\n", "▁"]
    bpe.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, special_tokens=special,
                                                       initial_alphabet=alphabet, show_progress=False))
    if family == "qwen3":  # one token each, and plain text: they are not special
        bpe.add_tokens([AddedToken("<think>", special=False), AddedToken("</think>", special=False)])
    # the marks of turns have no name among the tokenizer's own: they are special, and not in all_special_ids
    return PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token=pad, bos_token=bos, eos_token=eos,
                                   chat_template=template)


def make_model(family: str, folder: Path, seed: int = 0, context: int = 256, texts: list[str] = TEXTS,
               size: int = 500) -> Path:
    """A random model of the family, of some ten thousand weights, written to a folder with its tokenizer, which is
    trained on `texts`."""
    import transformers

    tokenizer = make_tokenizer(family, texts, size)
    name = {"llama3": "Llama", "qwen25": "Qwen2", "marked": "Qwen2", "qwen3": "Qwen3", "mistral": "Mistral",
            "gemma2": "Gemma2", "gemma3": "Gemma3"}[family]
    config = getattr(transformers, "Gemma3TextConfig" if name == "Gemma3" else f"{name}Config")(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=context, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, initializer_range=0.1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        getattr(transformers, f"{name}ForCausalLM")(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def teach(folder: Path, pairs: list[tuple[str, str]], steps: int = 80, rate: float = 1e-2) -> Path:
    """Teach the model in a folder to give these answers to these prompts, with all its weights:
    for tests that need a model which gets some things right, in words of its own."""
    from ssr_nb.models import load_model
    from ssr_nb.records import Target
    from ssr_nb.train import encode_all

    lm = load_model(folder, backend="transformers", device="cpu")
    context = lm.model.config.max_position_embeddings
    rows = encode_all([Target(str(i), *pair, "gold") for i, pair in enumerate(pairs)], lm.tokenizer, context)
    width = max(len(row["input_ids"]) for row in rows)
    ids = torch.tensor([row["input_ids"] + [0] * (width - len(row["input_ids"])) for row in rows])
    labels = torch.tensor([row["labels"] + [-100] * (width - len(row["labels"])) for row in rows])
    optimizer = torch.optim.AdamW(lm.model.requires_grad_(True).parameters(), lr=rate)
    for _ in range(steps):
        lm.model(input_ids=ids, labels=labels).loss.backward()  # padding stands behind and is never looked at
        optimizer.step()
        optimizer.zero_grad()
    lm.model.save_pretrained(folder)
    return Path(folder)
