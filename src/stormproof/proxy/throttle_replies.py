"""What each AWS service says when it throttles: status, headers and body, by protocol.

Envoy's rate limit filter answers 429 with a body of its own; no SDK would know that for a throttling error of the
service. Each row here replaces it by what the service really sends, so that a client decodes the modelled error code
and its retry rules apply. Sources: the error shapes of botocore's service models, the "common errors" pages of the
services' API references, and botocore's list of throttling codes. Every row is tried with the real client through the
real Envoy in tests/aws/test_throttle_protocols.py.

Bodies are Envoy format strings: ``%STREAM_ID%`` is the request id.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_REQUEST_ID = "%STREAM_ID%"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleReply:
    """The answer of one service to one request too many."""

    service: str  # botocore's name of it
    protocol: str  # json | query | ec2 | rest-xml | rest-json
    code: str  # what `ClientError.response["Error"]["Code"]` must be
    status: int
    content_type: str
    body: str
    headers: dict[str, str] = field(default_factory=dict)


DYNAMODB = ThrottleReply(
    service="dynamodb",
    protocol="json",
    code="ProvisionedThroughputExceededException",
    status=400,
    content_type="application/x-amz-json-1.0",
    body=(
        '{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",'
        '"message":"The level of configured provisioned throughput for the table was exceeded. '
        'Consider increasing your provisioning level with the UpdateTable API."}'
    ),
    headers={"x-amzn-requestid": _REQUEST_ID},
)

SQS = ThrottleReply(
    service="sqs",
    protocol="json",
    code="RequestThrottled",
    status=400,
    content_type="application/x-amz-json-1.0",
    body='{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Request is throttled."}',
    # SQS moved from query to json; clients written for the old codes read them from this header.
    headers={"x-amzn-requestid": _REQUEST_ID, "x-amzn-query-error": "RequestThrottled;Sender"},
)

SNS = ThrottleReply(
    service="sns",
    protocol="query",
    code="Throttling",
    status=400,
    content_type="text/xml",
    body=(
        '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>'
        "<Code>Throttling</Code><Message>Rate exceeded</Message></Error>"
        f"<RequestId>{_REQUEST_ID}</RequestId></ErrorResponse>"
    ),
    headers={"x-amzn-requestid": _REQUEST_ID},
)

S3 = ThrottleReply(
    service="s3",
    protocol="rest-xml",
    code="SlowDown",
    status=503,
    content_type="application/xml",
    body=(
        '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
        f"<Message>Please reduce your request rate.</Message><RequestId>{_REQUEST_ID}</RequestId>"
        "<HostId>stormproof</HostId></Error>"
    ),
    headers={"x-amz-request-id": _REQUEST_ID, "x-amz-id-2": "stormproof"},
)

LAMBDA = ThrottleReply(
    service="lambda",
    protocol="rest-json",
    code="TooManyRequestsException",
    status=429,
    content_type="application/json",
    body='{"Reason":"CallerRateLimitExceeded","Type":"User","message":"Rate Exceeded."}',
    headers={"x-amzn-requestid": _REQUEST_ID, "x-amzn-errortype": "TooManyRequestsException", "retry-after": "1"},
)

EC2 = ThrottleReply(
    service="ec2",
    protocol="ec2",
    code="RequestLimitExceeded",
    status=503,
    content_type="text/xml;charset=UTF-8",
    body=(
        '<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>RequestLimitExceeded</Code>'
        "<Message>Request limit exceeded.</Message></Error></Errors>"
        f"<RequestID>{_REQUEST_ID}</RequestID></Response>"
    ),
    headers={"x-amzn-requestid": _REQUEST_ID},
)

REPLIES = {reply.service: reply for reply in (DYNAMODB, SQS, SNS, S3, LAMBDA, EC2)}
