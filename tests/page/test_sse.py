"""The decoder of server-sent events in the response to a POST, which EventSource cannot read."""

import pytest
from playwright.sync_api import Page

DECODE = """async ([bytes, size]) => {
    const { events } = await import("/static/sse.js");
    const body = new ReadableStream({
        start(controller) {
            for (let at = 0; at < bytes.length; at += size) {
                controller.enqueue(new Uint8Array(bytes.slice(at, at + size)));
            }
            controller.close();
        },
    });
    const decoded = [];
    for await (const { event, data } of events(body)) decoded.push([event, data]);
    return decoded;
}"""


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
def test_the_decoder_follows_the_standard(real_page: Page, line_end: str, size: int) -> None:
    """The examples of WHATWG HTML §9.2.6 are decoded with each line ending, wherever the bytes are split."""
    sent = (
        ": comment\n\ndata: YHOO\ndata: +2\ndata: 10\n\nevent: add\ndata: 비빔밥⮑\nid: 1\n\n"
        "data\n\ndata\ndata\n\ndata:test\n\ndata:  two\n\nevent: lone\n\ndata:a:b\nretry: 5\n\ndata: cut"
    )
    encoded = b"\xef\xbb\xbf" + sent.replace("\n", line_end).encode()
    assert real_page.evaluate(DECODE, [list(encoded), size]) == [
        ["message", "YHOO\n+2\n10"],
        ["add", "비빔밥⮑"],
        ["message", ""],
        ["message", "\n"],
        ["message", "test"],
        ["message", " two"],
        ["message", "a:b"],
    ]
