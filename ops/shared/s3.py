"""Objects in S3 with conditional writes: of several who write at once, one succeeds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

CONNECT_TIMEOUT, READ_TIMEOUT, ATTEMPTS = 5, 20, 3


@dataclass(frozen=True)
class Found:
    """An object's content, the tag that its next replacement names, and its age in seconds by the server's clock."""

    content: bytes
    etag: str
    age: float


class Bucket:
    """The objects below an S3 address. All methods raise botocore's errors where the server fails or refuses."""

    def __init__(self, bucket: str, prefix: str, client: Any) -> None:
        self._bucket, self._prefix, self._client = bucket, prefix, client

    @classmethod
    def of(cls, address: str, options: Mapping[str, Any]) -> "Bucket":
        """The objects below ``s3://bucket/prefix``; ``options`` are those of ZenML's S3 artifact store."""
        import boto3
        from botocore.config import Config

        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        retries: Any = {"max_attempts": ATTEMPTS}
        client = boto3.client(
            "s3",
            aws_access_key_id=options.get("key"),
            aws_secret_access_key=options.get("secret"),
            aws_session_token=options.get("token"),
            config=Config(retries=retries, connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT),
            **(options.get("client_kwargs") or {}),
        )
        return cls(bucket, prefix.rstrip("/") + "/" if prefix.strip("/") else "", client)

    def read(self, name: str) -> Found | None:
        """An object, None if there is none."""
        try:
            answer = self._client.get_object(**self._key(name))
        except self._client.exceptions.NoSuchKey:
            return None
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return Found(answer["Body"].read(), answer["ETag"], (now - answer["LastModified"]).total_seconds())

    def names(self) -> Iterator[str]:
        """The objects that there are, in the order of their names."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        for page in pages:
            yield from (str(entry["Key"]).removeprefix(self._prefix) for entry in page.get("Contents", ()))

    def keeps_versions(self) -> bool:
        """Whether what is removed or written over stays in the bucket as an older version."""
        return "Status" in self._client.get_bucket_versioning(Bucket=self._bucket)

    def create(self, name: str, content: bytes) -> str | None:
        """Write an object that is not there yet; returns its tag, None if it is there."""
        return self._put(name, content, IfNoneMatch="*")

    def replace(self, name: str, content: bytes, etag: str) -> str | None:
        """Write over an object that still is what had ``etag``; returns its new tag, None if it is another or gone."""
        return self._put(name, content, IfMatch=etag)

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        self._client.delete_object(**self._key(name))

    def _put(self, name: str, content: bytes, **condition: str) -> str | None:
        from botocore.exceptions import ClientError

        try:
            return str(self._client.put_object(Body=content, **self._key(name), **condition)["ETag"])
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"):
                return None
            raise

    def _key(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}
