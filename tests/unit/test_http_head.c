/* test_http_head.c: where a request ends and what it says, case by case: each way in which two
 * parsers could disagree must be refused (RFC 9112; CVE-2023-30589, CVE-2024-27982,
 * CVE-2025-23167). */
#include "http/chunked.h"
#include "http/head.h"
#include "http/sha.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define H "Host: a\r\n"
#define G "GET / HTTP/1.1\r\n" H
#define P "POST / HTTP/1.1\r\n" H
#define W "GET /ws HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\n"

struct head_case {
    const char *name;
    const char *head;
    int status; /* 0: accepted */
    size_t len; /* of head, if it holds a NUL */
};

static const struct head_case cases[] = {
    /* request line */
    {"plain", G "\r\n", 0, 0},
    {"1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 0, 0},
    {"1.0 with Host", "GET / HTTP/1.0\r\n" H "\r\n", 0, 0},
    {"empty line before", "\r\n" G "\r\n", 0, 0},
    {"two empty lines before", "\r\n\r\n" G "\r\n", 400, 0},
    {"bare LF before", "\n" G "\r\n", 400, 0},
    {"HTTP/0.9", "GET /\r\n\r\n", 400, 0},
    {"HTTP/0.9 in words", "GET / HTTP/0.9\r\n" H "\r\n", 505, 0},
    {"HTTP/1.2", "GET / HTTP/1.2\r\n" H "\r\n", 505, 0},
    {"HTTP/2.0", "GET / HTTP/2.0\r\n" H "\r\n", 505, 0},
    {"HTTP/1", "GET / HTTP/1\r\n" H "\r\n", 400, 0},
    {"HTTP/1.10", "GET / HTTP/1.10\r\n" H "\r\n", 400, 0},
    {"HTTP/01.1", "GET / HTTP/01.1\r\n" H "\r\n", 400, 0},
    {"http/1.1", "GET / http/1.1\r\n" H "\r\n", 400, 0},
    {"HTTP 1.1", "GET / HTTP 1.1\r\n" H "\r\n", 400, 0},
    {"XHTTP", "GET / XHTTP/1.1\r\n" H "\r\n", 400, 0},
    {"no target", "GET HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"two spaces", "GET  / HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"two spaces behind", "GET /  HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"space at the end", "GET / HTTP/1.1 \r\n" H "\r\n", 400, 0},
    {"space at the start", " GET / HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"tab between", "GET\t/ HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"tab behind", "GET /\tHTTP/1.1\r\n" H "\r\n", 400, 0},
    {"space in target", "GET /a b HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"form feed", "GET /\fa HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"NUL in target", "GET /\0a HTTP/1.1\r\n" H "\r\n", 400, 29},
    {"lower case method", "get / HTTP/1.1\r\n" H "\r\n", 501, 0},
    {"unknown method", "BREW / HTTP/1.1\r\n" H "\r\n", 501, 0},
    {"CONNECT", "CONNECT a:1 HTTP/1.1\r\n" H "\r\n", 501, 0},
    {"PRI", "PRI * HTTP/2.0\r\n\r\n", 505, 0},
    {"method with a colon", "GE:T / HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"endless method", "GETGETGETGETGETGETGETGETGETGETGETGET / HTTP/1.1\r\n" H "\r\n", 501, 0},
    {"TLS hello", "\x16\x03\x01\x02\x00\x01", 400, 6},
    /* target */
    {"query", "GET /a?b=c&d=%20 HTTP/1.1\r\n" H "\r\n", 0, 0},
    {"query of people", "GET /m?filter=seen<7d HTTP/1.1\r\n" H "\r\n", 0, 0},
    {"fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"no slash", "GET a HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"backslash", "GET /a\\b HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"percent alone", "GET /a% HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"percent cut", "GET /a%2 HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"percent not hex", "GET /a%zz HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"percent in query", "GET /a?%zz HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"raw UTF-8", "GET /k\xc3\xb6ln HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"DEL", "GET /\x7f HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"asterisk for OPTIONS", "OPTIONS * HTTP/1.1\r\n" H "\r\n", 0, 0},
    {"asterisk for GET", "GET * HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"absolute", "GET http://a/b HTTP/1.1\r\n" H "\r\n", 0, 0},
    {"absolute, no path", "GET http://a HTTP/1.1\r\n" H "\r\n", 0, 0},
    {"absolute, other host", "GET http://b/ HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"absolute, no host", "GET http:///b HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"absolute, user", "GET http://u@a/ HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"absolute, ftp", "GET ftp://a/ HTTP/1.1\r\n" H "\r\n", 400, 0},
    {"absolute, 1.0, no Host", "GET http://a/ HTTP/1.0\r\n\r\n", 0, 0},
    /* line ends */
    {"LF for CRLF", "GET / HTTP/1.1\n" H "\r\n", 400, 0},
    {"LF in the fields", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400, 0},
    {"LF at the end", G "\n", 400, 0},
    {"LF CR", "GET / HTTP/1.1\n\r" H "\n\r", 400, 0},
    {"CR alone", "GET / HTTP/1.1\r" H "\r\n", 400, 0},
    {"CR in a value (CVE-2023-30589)", G "X: a\rContent-Length: 5\r\n\r\n", 400, 0},
    {"CR CR LF", G "X: a\r\r\n\r\n", 400, 0},
    {"CR CR LF at the end (CVE-2025-23167)", G "X: a\r\n\rX", 400, 0},
    {"LF between fields", G "X: a\nY: b\r\n\r\n", 400, 0},
    /* fields */
    {"no colon", G "X\r\n\r\n", 400, 0},
    {"no name", G ": a\r\n\r\n", 400, 0},
    {"space before colon", G "X : a\r\n\r\n", 400, 0},
    {"tab before colon", G "X\t: a\r\n\r\n", 400, 0},
    {"space in name", G "X Y: a\r\n\r\n", 400, 0},
    {"space before Content-Length (CVE-2024-27982)", G " Content-Length: 5\r\n\r\n", 400, 0},
    {"space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, 0},
    {"folded line", G "X: a\r\n b\r\n\r\n", 400, 0},
    {"folded by tab", G "X: a\r\n\tb\r\n\r\n", 400, 0},
    {"folded empty line", G "X: a\r\n \r\n\r\n", 400, 0},
    {"NUL in name", G "X\0Y: a\r\n\r\n", 400, 37},
    {"NUL in value", G "X: a\0b\r\n\r\n", 400, 36},
    {"control in value", G "X: a\x01\r\n\r\n", 400, 0},
    {"escape in value", G "X: \x1b[2J\r\n\r\n", 400, 0},
    {"DEL in value", G "X: a\x7f\r\n\r\n", 400, 0},
    {"tab in value", G "X: a\tb\r\n\r\n", 0, 0},
    {"UTF-8 in value", G "X: k\xc3\xb6ln\r\n\r\n", 0, 0},
    {"UTF-8 in name", G "K\xc3\xb6ln: a\r\n\r\n", 400, 0},
    {"empty value", G "X:\r\n\r\n", 0, 0},
    {"blanks for a value", G "X: \t \r\n\r\n", 0, 0},
    {"parenthesis in name", G "X(: a\r\n\r\n", 400, 0},
    {"quote in name", G "\"X\": a\r\n\r\n", 400, 0},
    {"vertical bar in name", G "X|Y: a\r\n\r\n", 0, 0},
    /* Host */
    {"no Host", "GET / HTTP/1.1\r\n\r\n", 400, 0},
    {"two Hosts", G "Host: a\r\n\r\n", 400, 0},
    {"two Hosts in 1.0", "GET / HTTP/1.0\r\n" H H "\r\n", 400, 0},
    {"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, 0},
    {"Host with a port", "GET / HTTP/1.1\r\nHost: a.b-c_d:8443\r\n\r\n", 0, 0},
    {"Host of IPv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 0, 0},
    {"Host of IPv6, open", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, 0},
    {"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, 0},
    {"Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, 0},
    {"Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, 0},
    {"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, 0},
    {"Host with a bad port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400, 0},
    /* Content-Length */
    {"length 0", P "Content-Length: 0\r\n\r\n", 0, 0},
    {"length 5", P "Content-Length: 5\r\n\r\n", 0, 0},
    {"length twice, same", P "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400, 0},
    {"length twice, other", P "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, 0},
    {"length list", P "Content-Length: 5, 5\r\n\r\n", 400, 0},
    {"length +5", P "Content-Length: +5\r\n\r\n", 400, 0},
    {"length -5", P "Content-Length: -5\r\n\r\n", 400, 0},
    {"length 0x5", P "Content-Length: 0x5\r\n\r\n", 400, 0},
    {"length 5.0", P "Content-Length: 5.0\r\n\r\n", 400, 0},
    {"length 5 5", P "Content-Length: 5 5\r\n\r\n", 400, 0},
    {"length empty", P "Content-Length:\r\n\r\n", 400, 0},
    {"length 2^64-1", P "Content-Length: 18446744073709551615\r\n\r\n", 400, 0},
    {"length 2^64+5", P "Content-Length: 18446744073709551621\r\n\r\n", 400, 0},
    {"length of 100 digits",
        P
        "Content-Length: 00000000000000000000000000000000000000000000000000000000000000000000000000"
        "00000000000000000000000005\r\n\r\n",
        400, 0},
    /* Transfer-Encoding */
    {"chunked", P "Transfer-Encoding: chunked\r\n\r\n", 0, 0},
    {"CHUNKED", P "Transfer-Encoding: CHUNKED\r\n\r\n", 0, 0},
    {"chunked and length", P "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400, 0},
    {"length and chunked", P "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, 0},
    {"length 0 and chunked", P "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, 0},
    {"chunked twice", P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, 0},
    {"chunked, chunked", P "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, 0},
    {"gzip, chunked", P "Transfer-Encoding: gzip, chunked\r\n\r\n", 400, 0},
    {"chunked, gzip", P "Transfer-Encoding: chunked, gzip\r\n\r\n", 400, 0},
    {"identity", P "Transfer-Encoding: identity\r\n\r\n", 400, 0},
    {"gzip", P "Transfer-Encoding: gzip\r\n\r\n", 400, 0},
    {"coding empty", P "Transfer-Encoding:\r\n\r\n", 400, 0},
    {"xchunked", P "Transfer-Encoding: xchunked\r\n\r\n", 400, 0},
    {"chunked;q", P "Transfer-Encoding: chunked;q=1\r\n\r\n", 400, 0},
    {"chunked, empty", P "Transfer-Encoding: chunked,\r\n\r\n", 400, 0},
    {"\"chunked\"", P "Transfer-Encoding: \"chunked\"\r\n\r\n", 400, 0},
    {"vertical tab before chunked",
        P "Transfer-Encoding: \x0b"
          "chunked\r\n\r\n",
        400, 0},
    {"chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, 0},
    {"coding by a fold", P "Transfer-Encoding:\r\n chunked\r\n\r\n", 400, 0},
    {"Transfer Encoding", P "Transfer Encoding: chunked\r\n\r\n", 400, 0},
    /* Expect */
    {"expects continue", P "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 0, 0},
    {"expects more", P "Expect: 200-ok\r\nContent-Length: 5\r\n\r\n", 417, 0},
    /* WebSocket */
    {"websocket",
        W "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", 0, 0},
    {"websocket, no key", W "Sec-WebSocket-Version: 13\r\n\r\n", 400, 0},
    {"websocket, short key",
        W "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", 400, 0},
    {"websocket, key not base64",
        W "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!!==\r\nSec-WebSocket-Version: 13\r\n\r\n", 400,
        0},
    {"websocket, two keys",
        W "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        400, 0},
    {"websocket, no version", W "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 426, 0},
    {"websocket, version 8",
        W "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n", 426,
        0},
    {"websocket, two versions",
        W "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Version: 13\r\n\r\n",
        400, 0},
    {"websocket, not connection: upgrade",
        "GET /ws HTTP/1.1\r\n" H "Upgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        400, 0},
    {"websocket by POST",
        "POST /ws HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        400, 0},
    {"websocket in 1.0",
        "GET /ws HTTP/1.0\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        400, 0},
    {"websocket with a body",
        W "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
          "Content-Length: 5\r\n\r\n",
        400, 0},
    {"upgrade to h2c is ignored", G "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 0, 0},
};

/* As the connection does it: scan what has arrived, parse when it is whole. -1: more is wanted. */
static int
read_head(const char *text, size_t len, size_t step, struct head *head, uint8_t *copy, size_t *end)
{
    struct head_scan scan = {0};
    uint16_t status = 0;

    for (size_t have = 0; have < len && status == 0;) {
        have = have + step < len ? have + step : len;
        status = head_scan(&scan, span_of(text, have), end);
    }
    if (status == 0)
        return -1;
    if (status != 200)
        return status;
    memcpy(copy, text, *end);
    return head_parse(copy + scan.first, *end - scan.first, head);
}

static void
judges_heads(void **state)
{
    static uint8_t copy[2 * HTTP_HEAD_BYTES_MAX];
    struct head head;
    size_t end;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct head_case *c = &cases[i];
        size_t len = c->len > 0 ? c->len : strlen(c->head);

        for (size_t step = 1; step <= len; step = step == 1              ? 7
                                                  : step == 7 && len > 7 ? len
                                                                         : len + 1) {
            int status = read_head(c->head, len, step, &head, copy, &end);

            if (status != c->status)
                fail_msg("%s, %zu at a time: %d", c->name, step, status);
            if (status == 0 && end != len)
                fail_msg("%s ends at %zu", c->name, end);
        }
    }
}

static void
reads_what_it_says(void **state)
{
    static const char text[] = "\r\nPUT /a/b%20c?x=1&y HTTP/1.1\r\nHOST:  gate.example:8443 \r\n"
                               "X-List: a, ,b\r\nx-LIST:\tc \r\nContent-Length: 12\r\n"
                               "Connection: keep-alive, CLOSE\r\n\r\n";
    static uint8_t copy[1024];
    struct http_list list;
    struct head head;
    struct span item;
    size_t end;

    (void)state;
    assert_int_equal(read_head(text, sizeof(text) - 1, 1024, &head, copy, &end), 0);
    assert_int_equal(head.request.method, METHOD_PUT);
    assert_true(span_is(head.request.path, "/a/b%20c"));
    assert_true(span_is(head.request.query, "x=1&y"));
    assert_true(span_is(head.request.host, "gate.example:8443"));
    assert_int_equal(head.body, HEAD_BODY_LENGTH);
    assert_int_equal(head.body_len, 12);
    assert_true(head.close);
    assert_int_equal(head.request.field_count, 5);
    assert_int_equal(http_field_count(&head.request, "x-list"), 2);
    assert_true(span_is(*http_field(&head.request, "x-list"), "a, ,b"));
    assert_null(http_field(&head.request, "x"));
    list = (struct http_list){.request = &head.request, .name = "x-list"};
    assert_true(http_list_next(&list, &item) && span_is(item, "a"));
    assert_true(http_list_next(&list, &item) && span_is(item, "b"));
    assert_true(http_list_next(&list, &item) && span_is(item, "c"));
    assert_false(http_list_next(&list, &item));
}

static void
keeps_to_its_limits(void **state)
{
    static char text[3 * HTTP_HEAD_BYTES_MAX];
    static uint8_t copy[sizeof(text)];
    struct head head;
    size_t end, len;

    (void)state;
    /* 100 fields, and one more */
    for (int fields = 100; fields <= 101; fields++) {
        len = (size_t)snprintf(text, sizeof(text), G);
        for (int i = 1; i < fields; i++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "x%d: y\r\n", i);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "\r\n");
        assert_int_equal(read_head(text, len, 100, &head, copy, &end), fields == 100 ? 0 : 431);
    }
    /* 16 KiB, and one more */
    for (size_t over = 0; over <= 1; over++) {
        len = (size_t)snprintf(text, sizeof(text), G "X: ");
        memset(text + len, 'y', sizeof(text) - len);
        memcpy(text + HTTP_HEAD_BYTES_MAX + over - 4, "\r\n\r\n", 4);
        len = HTTP_HEAD_BYTES_MAX + over;
        assert_int_equal(read_head(text, len, 1000, &head, copy, &end), over == 0 ? 0 : 431);
    }
    /* a target of 8 KiB, and one more, before its line ends */
    for (size_t over = 0; over <= 1; over++) {
        len = (size_t)snprintf(text, sizeof(text), "GET /");
        memset(text + len, 'y', HTTP_TARGET_BYTES_MAX - 1 + over);
        len += HTTP_TARGET_BYTES_MAX - 1 + over;
        assert_int_equal(read_head(text, len, 1000, &head, copy, &end), over == 0 ? -1 : 414);
        len += (size_t)snprintf(text + len, sizeof(text) - len, " HTTP/1.1\r\n" H "\r\n");
        assert_int_equal(read_head(text, len, 1000, &head, copy, &end), over == 0 ? 0 : 414);
    }
}

static void
refuses_at_the_first_bad_byte(void **state)
{
    struct head_scan scan = {0};
    size_t end;

    (void)state;
    /* a head without its end is not waited for once it cannot become one */
    assert_int_equal(head_scan(&scan, span_str("GET / HTTP/1.1\n"), &end), 400);
    scan = (struct head_scan){0};
    assert_int_equal(head_scan(&scan, span_str("GET / HTTP/1.1\r\nX: a\rY"), &end), 400);
    scan = (struct head_scan){0};
    assert_int_equal(head_scan(&scan, span_str("GET / HTTP/1.1\r\nX: a\r"), &end), 0);
}

struct chunk_case {
    const char *in;
    const char *out; /* NULL: malformed */
    size_t left;     /* bytes behind the body */
};

static const struct chunk_case chunk_cases[] = {
    {"0\r\n\r\n", "", 0},
    {"3\r\nabc\r\n0\r\n\r\n", "abc", 0},
    {"3\r\nabc\r\n0\r\n\r\nGET", "abc", 3},
    {"A\r\n0123456789\r\n00\r\n\r\n", "0123456789", 0},
    {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0},
    {"00000003\r\nabc\r\n0\r\n\r\n", "abc", 0},
    {"000000003\r\nabc\r\n0\r\n\r\n", NULL, 0},
    {"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc", 0},
    {"3;x\r\nabc\r\n0\r\n\r\n", NULL, 0},
    {"3 \r\nabc\r\n0\r\n\r\n", NULL, 0},
    {" 3\r\nabc\r\n0\r\n\r\n", NULL, 0},
    {"3\nabc\r\n0\r\n\r\n", NULL, 0},
    {"3\rabc\r\n0\r\n\r\n", NULL, 0},
    {"3\r\nabc\n0\r\n\r\n", NULL, 0},
    {"3\r\nabcd\r\n0\r\n\r\n", NULL, 0},
    {"3\r\nab\r\n0\r\n\r\n", NULL, 0},
    {"3\r\nabcXX0\r\n\r\n", NULL, 0}, /* CVE-2025-22871 and its kind */
    {"0x3\r\nabc\r\n0\r\n\r\n", NULL, 0},
    {"+3\r\nabc\r\n0\r\n\r\n", NULL, 0},
    {"-1\r\nabc\r\n0\r\n\r\n", NULL, 0},
    {"g\r\nabc\r\n0\r\n\r\n", NULL, 0},
    {"\r\nabc\r\n0\r\n\r\n", NULL, 0},
    {"fffffffff\r\nabc\r\n0\r\n\r\n", NULL, 0},
    {"0\r\nX: y\r\n\r\n", NULL, 0}, /* trailers */
    {"0\r\n\n", NULL, 0},
    {"0\r\n\rX", NULL, 0},
    {"0\n\r\n", NULL, 0},
    {"0;\r\n\r\n", NULL, 0},
};

static void
decodes_chunks_in_any_division(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(chunk_cases) / sizeof(chunk_cases[0]); i++) {
        const struct chunk_case *c = &chunk_cases[i];
        size_t len = strlen(c->in);

        for (size_t step = 1; step <= len; step++) {
            struct chunked chunked = {0};
            char out[64] = "";
            size_t out_len = 0, at = 0, used = 0;
            enum err err = OK;
            bool done = false;

            while (at < len && err == OK && !done) {
                size_t n = at + step < len ? step : len - at;
                struct span in = span_of(c->in + at, n), piece;

                while (in.len > 0 && err == OK && !done) {
                    err = chunked_next(&chunked, &in, &piece, &done);
                    if (err == OK) {
                        memcpy(out + out_len, piece.ptr, piece.len);
                        out_len += piece.len;
                    }
                }
                used = at + n - in.len;
                at += n;
            }
            if (c->out == NULL) {
                if (err == OK)
                    fail_msg("case %zu was accepted, %zu at a time", i, step);
                continue;
            }
            assert_int_equal(err, OK);
            assert_true(done);
            assert_int_equal(len - used, c->left);
            assert_int_equal(out_len, strlen(c->out));
            assert_memory_equal(out, c->out, out_len);
        }
    }
}

/* RFC 6455 section 1.3 */
static void
accepts_a_websocket_key(void **state)
{
    char out[HEAD_ACCEPT_LEN + 1];

    (void)state;
    head_accept(span_str("dGhlIHNhbXBsZSBub25jZQ=="), out);
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void
hashes_like_libsodium(void **state)
{
    const struct span parts[] = {span_str("ab"), span_str(""), span_str("c")};
    struct hash ours, theirs;

    (void)state;
    assert_int_equal(sha_init(), OK);
    sha_hash(parts, 3, &ours);
    hash_bytes(span_str("abc"), &theirs);
    assert_true(hash_equal(&ours, &theirs));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_heads),
        cmocka_unit_test(reads_what_it_says),
        cmocka_unit_test(keeps_to_its_limits),
        cmocka_unit_test(refuses_at_the_first_bad_byte),
        cmocka_unit_test(decodes_chunks_in_any_division),
        cmocka_unit_test(accepts_a_websocket_key),
        cmocka_unit_test(hashes_like_libsodium),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
