"""Put, Get and DeleteModelInvocationLoggingConfiguration."""

from __future__ import annotations

from outcrop.context import Context
from outcrop.errors import ValidationException
from outcrop.invocation_logs.configurations import Configurations
from outcrop.objects.errors import ObjectsError
from outcrop.shapes.bedrock import (
    DeleteModelInvocationLoggingConfigurationRequest,
    DeleteModelInvocationLoggingConfigurationResponse,
    GetModelInvocationLoggingConfigurationRequest,
    GetModelInvocationLoggingConfigurationResponse,
    LoggingConfig,
    PutModelInvocationLoggingConfigurationRequest,
    PutModelInvocationLoggingConfigurationResponse,
)
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")

PROBE = "amazon-bedrock-logs-permission-check"


@bedrock
def put_model_invocation_logging_configuration(
    ctx: Context, request: PutModelInvocationLoggingConfigurationRequest
) -> PutModelInvocationLoggingConfigurationResponse:
    configuration = request["loggingConfig"]
    if "cloudWatchConfig" in configuration:
        raise ValidationException(
            "CloudWatch Logs is not part of Outcrop. Use s3Config to have invocations logged to a bucket."
        )
    _probe(ctx, configuration)
    Configurations(ctx.database).put(ctx.account, ctx.region, configuration)
    return {}


@bedrock
def get_model_invocation_logging_configuration(
    ctx: Context, request: GetModelInvocationLoggingConfigurationRequest
) -> GetModelInvocationLoggingConfigurationResponse:
    found = Configurations(ctx.database).of(ctx.account, ctx.region)
    return {} if found is None else {"loggingConfig": found}


@bedrock
def delete_model_invocation_logging_configuration(
    ctx: Context, request: DeleteModelInvocationLoggingConfigurationRequest
) -> DeleteModelInvocationLoggingConfigurationResponse:
    Configurations(ctx.database).remove(ctx.account, ctx.region)
    return {}


def _probe(ctx: Context, configuration: LoggingConfig) -> None:
    """Whether the bucket can be written to, found out as AWS does."""
    if "s3Config" not in configuration:
        raise ValidationException("The loggingConfig needs an s3Config, which says where invocations are logged.")
    place = configuration["s3Config"]
    try:
        ctx.objects.put(f"{root(configuration, ctx.account, ctx.region)}/{PROBE}", b"")
    except ObjectsError as problem:
        raise ValidationException(
            f"Failed to validate permissions for log destination s3://{place['bucketName']}: {problem.message}"
        ) from None


def root(configuration: LoggingConfig, account: str, region: str) -> str:
    """The folder under which an account's records lie."""
    place = configuration["s3Config"]
    prefix = place.get("keyPrefix", "").strip("/")
    above = f"{place['bucketName']}/{prefix}" if prefix else place["bucketName"]
    return f"s3://{above}/AWSLogs/{account}/BedrockModelInvocationLogs/{region}"
