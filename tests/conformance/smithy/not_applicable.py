"""Cases of Smithy's that do not hold for Outcrop, each with its reason. One that holds after all fails the tests."""

from __future__ import annotations

# Running these would be the failure: the pattern is meant to make a backtracking matcher hang.
NEVER_RUN = {"RestJsonMalformedPatternReDOSString"}

_DEFAULTS = "botocore's models, which are the law here, carry no default values: an absent member stays absent"
_UNIQUE = "botocore's models carry no uniqueItems: what repeats is for the operation to judge"
_ACCEPT = "Bedrock answers what it answers whatever Accept says; clients send anything in it"
_UNTYPED = "Bedrock takes bodies without a content type, and payloads of any: they are the model's, not the protocol's"
_COMPRESSED = "no operation of Bedrock takes compressed requests; the case leaves the body to the client's compressor"
_MEDIA = "botocore's models carry no media type of a blob; the response names its content type in a member"

_LISTS = ("Blob", "Boolean", "Byte", "DateTime", "Enum", "HttpDate", "IntEnum", "Integer", "List", "Long", "Short", "String", "Structure",
          "Timestamp", "Union")  # fmt: skip

REASONS: dict[str, str] = {
    "RestJsonMalformedPatternReDOSString": "no pattern in Bedrock's service models backtracks without end",
    **{f"RestJsonMalformedUniqueItems{kind}List": _UNIQUE for kind in _LISTS},
    "RestJsonServerPopulatesDefaultsWhenMissingInRequestBody": _DEFAULTS,
    "RestJsonServerPopulatesNestedDefaultsWhenMissingInRequestBody": _DEFAULTS,
    "RestJsonServerPopulatesDefaultsInResponseWhenMissingInParams": _DEFAULTS,
    "RestJsonServerPopulatesNestedDefaultValuesWhenMissingInInResponseParams": _DEFAULTS,
    "RestJsonStringPayloadUnsatisfiableAccept": _ACCEPT,
    "RestJsonWithBodyExpectsApplicationJsonAccept": _ACCEPT,
    "RestJsonWithPayloadExpectsImpliedAccept": _ACCEPT,
    "RestJsonWithPayloadExpectsModeledAccept": _ACCEPT,
    "RestJsonStringPayloadNoContentType": _UNTYPED,
    "RestJsonStringPayloadWrongContentType": _UNTYPED,
    "RestJsonWithBodyExpectsApplicationJsonContentTypeNoHeaders": _UNTYPED,
    "RestJsonWithPayloadExpectsImpliedContentType": _UNTYPED,
    "RestJsonWithPayloadExpectsModeledContentType": _UNTYPED,
    "RestJsonWithoutBodyEmptyInputExpectsEmptyContentType": _UNTYPED,
    "RestJsonWithoutBodyExpectsEmptyContentType": _UNTYPED,
    "SDKAppendedGzipAfterProvidedEncoding_restJson1": _COMPRESSED,
    "SDKAppliedContentEncoding_restJson1": _COMPRESSED,
    "RestJsonHttpPayloadTraitsWithMediaTypeWithBlob": _MEDIA,
    "RestJsonStreamingTraitsWithMediaTypeWithBlob": _MEDIA,
    "RestJsonHttpWithEmptyStructurePayload": "a structure that is the whole body is read as empty, not as absent",
    "RestJsonHttpWithHeadersButNoPayload": "a structure that is the whole body is read as empty, not as absent",
    "RestJsonOmitsEmptyListQueryValues": "says what a client leaves out: what did not arrive cannot be told from an empty list",
}
