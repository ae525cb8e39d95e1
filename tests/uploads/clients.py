"""Uploads with tuspy: {"url", "key", "files": {case: path}} on standard input, {case: url} on standard output."""

import asyncio
import json
import pathlib
import sys
import tempfile

from tusclient.client import TusClient
from tusclient.storage.filestorage import FileStorage

CHUNK_BYTES = 700_000


def at_once(client, path):
    uploader = client.uploader(str(path), metadata={"filename": path.name, "title": "Ähm? 授業"})
    uploader.upload()
    return uploader.url


def chunks(client, path):
    uploader = client.uploader(str(path), chunk_size=CHUNK_BYTES, metadata={"filename": path.name})
    uploader.upload()
    return uploader.url


def resumed(client, path):
    """Two chunks, and the rest by another process that finds the address in a file."""
    with tempfile.TemporaryDirectory() as folder:
        def uploader():
            storage = FileStorage(str(pathlib.Path(folder) / "storage"))
            return client.uploader(
                str(path), chunk_size=CHUNK_BYTES, metadata={"filename": path.name}, store_url=True, url_storage=storage
            )

        first = uploader()
        first.upload_chunk()
        first.upload_chunk()
        second = uploader()
        if second.offset != first.offset or second.url != first.url:
            raise AssertionError(f"{second.offset} of {second.url}, not {first.offset} of {first.url}")
        second.upload()
        return second.url


def asynchronous(client, path):
    async def upload():
        uploader = client.async_uploader(str(path), chunk_size=CHUNK_BYTES, metadata={"filename": path.name})
        await uploader.upload()
        return uploader.url

    return asyncio.run(upload())


CASES = {"tuspy": at_once, "tuspy_chunks": chunks, "tuspy_resumed": resumed, "tuspy_async": asynchronous}


def main():
    asked = json.load(sys.stdin)
    client = TusClient(asked["url"] + "/v1/uploads", headers={"Authorization": "Bearer " + asked["key"]})
    json.dump({case: CASES[case](client, pathlib.Path(path)) for case, path in asked["files"].items()}, sys.stdout)


main()
