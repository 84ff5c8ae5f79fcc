"""What is wrong with a value, by pydantic, in English and Korean."""

from collections.abc import Mapping
from typing import Any

from chains.messages import Message
from chains.translations import KOREAN, Language

CUSTOM_PREFIX = "Value error, "  # which pydantic puts before the words of our own validators
NOT_VALID = "올바른 값이 아니에요"

# https://docs.pydantic.dev/latest/errors/validation_errors/, for what a body of JSON, a query or a header can hold
KOREAN_VALIDATION: dict[str, str] = {
    "json_invalid": "올바른 JSON이 아니에요",
    "json_type": "JSON은 문자열이어야 해요",
    "recursion_loop": "값이 자기 자신을 담고 있어요",
    "recursion_depth_exceeded": "값이 너무 깊이 겹쳐 있어요",
    "missing": "필수 항목이에요",
    "extra_forbidden": "없는 항목이에요",
    "invalid_key": "키는 문자열이어야 해요",
    "model_type": "JSON 객체여야 해요",
    "model_attributes_type": "JSON 객체여야 해요",
    "dataclass_type": "JSON 객체여야 해요",
    "dict_type": "JSON 객체여야 해요",
    "none_required": "null이어야 해요",
    "greater_than": "{gt}보다 커야 해요",
    "greater_than_equal": "{ge} 이상이어야 해요",
    "less_than": "{lt}보다 작아야 해요",
    "less_than_equal": "{le} 이하여야 해요",
    "multiple_of": "{multiple_of}의 배수여야 해요",
    "finite_number": "유한한 수여야 해요",
    "too_short": "{min_length}개 이상이어야 하는데 {actual_length}개예요",
    "too_long": "{max_length}개까지인데 {actual_length}개예요",
    "iterable_type": "목록이어야 해요",
    "string_type": "문자열이어야 해요",
    "string_unicode": "올바른 유니코드 문자열이어야 해요",
    "string_too_short": "{min_length}자 이상이어야 해요",
    "string_too_long": "{max_length}자 이하여야 해요",
    "string_pattern_mismatch": "'{pattern}' 형식에 맞아야 해요",
    "string_not_ascii": "ASCII 문자만 쓸 수 있어요",
    "enum": "다음 중 하나여야 해요: {expected}",
    "literal_error": "다음 중 하나여야 해요: {expected}",
    "list_type": "목록이어야 해요",
    "tuple_type": "목록이어야 해요",
    "set_type": "목록이어야 해요",
    "frozen_set_type": "목록이어야 해요",
    "bool_type": "참이나 거짓이어야 해요",
    "bool_parsing": "참이나 거짓이어야 해요",
    "int_type": "정수여야 해요",
    "int_parsing": "정수여야 해요",
    "int_parsing_size": "수가 너무 길어요",
    "int_from_float": "소수점 아래가 없는 정수여야 해요",
    "float_type": "수여야 해요",
    "float_parsing": "수여야 해요",
    "bytes_type": "문자열이어야 해요",
    "bytes_too_short": "{min_length}바이트 이상이어야 해요",
    "bytes_too_long": "{max_length}바이트 이하여야 해요",
    "bytes_invalid_encoding": "{encoding}으로 읽을 수 없어요",
    "union_tag_invalid": "'{tag}': {discriminator}의 값으로 쓸 수 없어요",
    "union_tag_not_found": "{discriminator} 항목이 필요해요",
    "url_type": "URL이어야 해요",
    "url_parsing": "올바른 URL이 아니에요",
    "url_syntax_violation": "올바른 URL이 아니에요",
    "url_too_long": "URL은 {max_length}자 이하여야 해요",
    "url_scheme": "URL은 다음 중 하나로 시작해야 해요: {expected_schemes}",
    "uuid_type": "UUID여야 해요",
    "uuid_parsing": "올바른 UUID가 아니에요",
    "uuid_version": "버전 {expected_version}의 UUID여야 해요",
}


def validation_message(problem: Mapping[str, Any], language: Language = "en") -> str:
    """Returns what is wrong, without a full stop, from one of the `errors()` of a pydantic `ValidationError`."""
    if language == "en":
        return problem["msg"].removeprefix(CUSTOM_PREFIX).removesuffix(".")
    context: dict[str, Any] = problem.get("ctx", {})
    match context.get("error"):
        case ValueError(args=[Message() as message]):
            return message.in_language(language)
        case ValueError(args=[str(template)]):
            return KOREAN.get(template, NOT_VALID)
        case _:
            context |= {"expected": str(context.get("expected", "")).replace("' or '", "', '")}
            return KOREAN_VALIDATION.get(problem["type"], NOT_VALID).format(**context)
