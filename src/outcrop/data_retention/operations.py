"""Get and PutAccountDataRetention, and where retained data would be delivered to.

Delivery to a bucket is for those who take part in a programme of a model's provider. There is none here, so the storage
operations answer as AWS does to an account that takes part in none: nothing is configured, nothing can be.
"""

from __future__ import annotations

from outcrop.context import Context
from outcrop.data_retention import modes
from outcrop.errors import AccessDeniedException, ConflictException, ResourceNotFoundException, ValidationException
from outcrop.shapes.bedrock import (
    DeleteAccountDataRetentionStorageRequest,
    DeleteAccountDataRetentionStorageResponse,
    DeleteOrganizationDataRetentionStorageRequest,
    DeleteOrganizationDataRetentionStorageResponse,
    DeleteProjectDataRetentionStorageRequest,
    DeleteProjectDataRetentionStorageResponse,
    GetAccountDataRetentionRequest,
    GetAccountDataRetentionResponse,
    GetAccountDataRetentionStorageRequest,
    GetAccountDataRetentionStorageResponse,
    GetOrganizationDataRetentionStorageRequest,
    GetOrganizationDataRetentionStorageResponse,
    GetProjectDataRetentionStorageRequest,
    GetProjectDataRetentionStorageResponse,
    PutAccountDataRetentionRequest,
    PutAccountDataRetentionResponse,
    PutAccountDataRetentionStorageRequest,
    PutAccountDataRetentionStorageResponse,
    PutOrganizationDataRetentionStorageRequest,
    PutOrganizationDataRetentionStorageResponse,
    PutProjectDataRetentionStorageRequest,
    PutProjectDataRetentionStorageResponse,
)
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")


@bedrock
def get_account_data_retention(
    ctx: Context, request: GetAccountDataRetentionRequest
) -> GetAccountDataRetentionResponse:
    return _told(modes.of(ctx.database, ctx.account, ctx.region))


@bedrock
def put_account_data_retention(
    ctx: Context, request: PutAccountDataRetentionRequest
) -> PutAccountDataRetentionResponse:
    with ctx.database.transaction() as transaction:
        put = modes.put(transaction, ctx.account, ctx.region, request["mode"], ctx.now())
    ctx.catalogue.refresh()
    return {**_told(put)}


@bedrock
def get_account_data_retention_storage(
    ctx: Context, request: GetAccountDataRetentionStorageRequest
) -> GetAccountDataRetentionStorageResponse:
    raise ResourceNotFoundException(
        f"No account retention storage configuration exists for the model provider {request['modelProvider']}."
    )


@bedrock
def put_account_data_retention_storage(
    ctx: Context, request: PutAccountDataRetentionStorageRequest
) -> PutAccountDataRetentionStorageResponse:
    _check(request)
    raise _not_eligible("account", request["modelProvider"])


@bedrock
def delete_account_data_retention_storage(
    ctx: Context, request: DeleteAccountDataRetentionStorageRequest
) -> DeleteAccountDataRetentionStorageResponse:
    return {}


@bedrock
def get_organization_data_retention_storage(
    ctx: Context, request: GetOrganizationDataRetentionStorageRequest
) -> GetOrganizationDataRetentionStorageResponse:
    raise _no_organization(ctx)


@bedrock
def put_organization_data_retention_storage(
    ctx: Context, request: PutOrganizationDataRetentionStorageRequest
) -> PutOrganizationDataRetentionStorageResponse:
    raise _no_organization(ctx)


@bedrock
def delete_organization_data_retention_storage(
    ctx: Context, request: DeleteOrganizationDataRetentionStorageRequest
) -> DeleteOrganizationDataRetentionStorageResponse:
    raise _no_organization(ctx)


@bedrock
def get_project_data_retention_storage(
    ctx: Context, request: GetProjectDataRetentionStorageRequest
) -> GetProjectDataRetentionStorageResponse:
    raise _no_project(request["projectIdentifier"])


@bedrock
def put_project_data_retention_storage(
    ctx: Context, request: PutProjectDataRetentionStorageRequest
) -> PutProjectDataRetentionStorageResponse:
    raise _no_project(request["projectIdentifier"])


@bedrock
def delete_project_data_retention_storage(
    ctx: Context, request: DeleteProjectDataRetentionStorageRequest
) -> DeleteProjectDataRetentionStorageResponse:
    raise _no_project(request["projectIdentifier"])


def _told(retention: modes.Retention) -> GetAccountDataRetentionResponse:
    told: GetAccountDataRetentionResponse = {"mode": retention.mode}
    if retention.updated_at is not None:
        told["updatedAt"] = retention.updated_at
    return told


def _check(request: PutAccountDataRetentionStorageRequest) -> None:
    own = request["storageDestination"] == "customer_managed"
    if own != ("storageConfiguration" in request):
        raise ValidationException(
            "storageConfiguration is required when storageDestination is customer_managed, and only then allowed."
        )


def _not_eligible(scope: str, provider: str) -> ConflictException:
    return ConflictException(
        f"The {scope} is not eligible for a trusted access program of {provider} that stores retained data: this server "
        "delivers no retained data to anybody."
    )


def _no_organization(ctx: Context) -> AccessDeniedException:
    return AccessDeniedException(
        f"The account {ctx.account} is not the management account of an organization or its delegated administrator."
    )


def _no_project(identifier: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(f"The project {identifier} could not be found.")
