"""A tokenizer for gpt-oss with the interface of the tokenizers of Hugging Face's `transformers`.

`Tokenizer()` needs neither that library nor a download. `pretrained_tokenizer()` gives the same as an instance of
`transformers.PreTrainedTokenizerBase`, for code that checks the type.
"""

from motet.transformers.batch import BatchEncoding
from motet.transformers.pretrained import pretrained_tokenizer
from motet.transformers.tokenizer import Tokenizer

__all__ = ["BatchEncoding", "Tokenizer", "pretrained_tokenizer"]
