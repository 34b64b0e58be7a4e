/* head.c: request heads. The scan looks at each byte once, as it arrives, so that what can never
 * become a request is refused at once; the parse reads a whole head. llhttp is the second opinion:
 * a head on which the two disagree is what request smuggling is made of. Pure; any thread. */
#include "http/head.h"

#include "http/sha.h"

#include <llhttp.h>
#include <sodium.h>
#include <strings.h>

#define METHOD_NAME_MAX 32

static const char *const method_names[] = {
    [METHOD_GET] = "GET",
    [METHOD_HEAD] = "HEAD",
    [METHOD_POST] = "POST",
    [METHOD_PUT] = "PUT",
    [METHOD_PATCH] = "PATCH",
    [METHOD_DELETE] = "DELETE",
    [METHOD_OPTIONS] = "OPTIONS",
    [METHOD_TRACE] = "TRACE",
};
#define METHODS (sizeof(method_names) / sizeof(method_names[0]))

const char *
http_method_name(enum http_method method)
{
    return method_names[method];
}

/* ---- the scan ---- */

/* CR LF has been seen. 0: go on; 200: the head ends here. */
static uint16_t
scan_line_end(struct head_scan *scan)
{
    if (scan->line_len > 0) {
        scan->line_len = 0;
        scan->lines++;
        return scan->lines > HTTP_FIELDS_MAX + 1 ? 431 : 0;
    }
    if (scan->lines > 0)
        return 200;
    /* RFC 9112 section 2.2: one empty line before a request is passed over */
    if (scan->first > 0)
        return 400;
    scan->first = scan->at;
    return 0;
}

static uint16_t
scan_request_line(struct head_scan *scan, uint8_t c)
{
    if (c == '\t' || c >= 0x80)
        return 400;
    if (c == ' ') {
        scan->spaces++;
        return scan->line_len == 0 || scan->spaces > 2 ? 400 : 0;
    }
    if (scan->spaces == 0 && scan->line_len >= METHOD_NAME_MAX)
        return 501;
    if (scan->spaces == 1 && ++scan->target > HTTP_TARGET_BYTES_MAX)
        return 414;
    return 0;
}

static uint16_t
scan_byte(struct head_scan *scan, uint8_t c)
{
    uint16_t status = 0;

    if (scan->cr) {
        scan->cr = false;
        return c == '\n' ? scan_line_end(scan) : 400;
    }
    if (c == '\r') {
        scan->cr = true;
        return 0;
    }
    if ((c < 0x20 && c != '\t') || c == 0x7f)
        return 400;
    if (scan->lines == 0)
        status = scan_request_line(scan, c);
    else if (scan->line_len == 0 && (c == ' ' || c == '\t'))
        return 400; /* obs-fold */
    scan->line_len++;
    return status;
}

uint16_t
head_scan(struct head_scan *scan, struct span bytes, size_t *len)
{
    uint16_t status = 0;

    while (status == 0 && scan->at < bytes.len && scan->at - scan->first < HTTP_HEAD_BYTES_MAX) {
        uint8_t c = bytes.ptr[scan->at++];

        status = scan_byte(scan, c);
    }
    *len = scan->at;
    if (status == 0 && scan->at - scan->first >= HTTP_HEAD_BYTES_MAX)
        return 431;
    return status;
}

/* ---- characters ---- */

static bool
is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool
is_one_of(uint8_t c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool
is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alnum(s.ptr[i]) && !is_one_of(s.ptr[i], "!#$%&'*+-.^_`|~"))
            return false;
    }
    return s.len > 0;
}

/* RFC 3986 pchar and '/'; a query may also hold what people type there unescaped ("seen<7d"). */
static bool
is_target_part(struct span s, bool query)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];

        if (c == '%') {
            if (s.len - i < 3 || !is_hex(s.ptr[i + 1]) || !is_hex(s.ptr[i + 2]))
                return false;
        } else if (!is_alnum(c) && !is_one_of(c, "-._~!$&'()*+,;=:@/") &&
                   !(query && is_one_of(c, "?\"<>[\\]^`{|}"))) {
            return false;
        }
    }
    return true;
}

static bool
is_host(struct span s)
{
    size_t i = 0;

    if (s.len == 0)
        return false;
    if (s.ptr[0] == '[') {
        for (i = 1; i < s.len && (is_hex(s.ptr[i]) || s.ptr[i] == ':' || s.ptr[i] == '.');)
            i++;
        if (i < 3 || i == s.len || s.ptr[i] != ']')
            return false;
        i++;
    } else {
        while (i < s.len && (is_alnum(s.ptr[i]) || is_one_of(s.ptr[i], "-._")))
            i++;
        if (i == 0)
            return false;
    }
    if (i == s.len)
        return true;
    if (s.ptr[i] != ':' || s.len - i > 6)
        return false;
    for (i++; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    }
    return true;
}

static bool
same_text(struct span s, const char *text)
{
    return s.len == strlen(text) && strncasecmp((const char *)s.ptr, text, s.len) == 0;
}

static struct span
trim(struct span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = span_of(s.ptr + 1, s.len - 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* The part before `c`; *rest is what follows it. False: no such byte, all is before it. */
static bool
split(struct span s, uint8_t c, struct span *before, struct span *rest)
{
    const uint8_t *at = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;

    if (at == NULL) {
        *before = s;
        *rest = span_of(s.ptr + s.len, 0);
        return false;
    }
    *before = span_of(s.ptr, (size_t)(at - s.ptr));
    *rest = span_of(at + 1, s.len - before->len - 1);
    return true;
}

/* ---- fields ---- */

const struct span *
http_field(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->field_count; i++) {
        if (span_is(request->fields[i].name, name))
            return &request->fields[i].value;
    }
    return NULL;
}

size_t
http_field_count(const struct request *request, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < request->field_count; i++)
        n += span_is(request->fields[i].name, name);
    return n;
}

bool
http_list_next(struct http_list *list, struct span *item)
{
    const struct request *request = list->request;

    for (;;) {
        while (list->rest.len > 0) {
            split(list->rest, ',', item, &list->rest);
            *item = trim(*item);
            if (item->len > 0)
                return true;
        }
        while (list->next_field < request->field_count &&
               !span_is(request->fields[list->next_field].name, list->name))
            list->next_field++;
        if (list->next_field == request->field_count)
            return false;
        list->rest = request->fields[list->next_field++].value;
    }
}

static bool
list_has(const struct request *request, const char *name, const char *item)
{
    struct http_list list = {.request = request, .name = name};
    struct span one;

    while (http_list_next(&list, &one)) {
        if (same_text(one, item))
            return true;
    }
    return false;
}

/* One line "name: value", CR LF not included. */
static bool
parse_field(uint8_t *line, size_t len, struct http_field *field)
{
    struct span name, value;

    if (!split(span_of(line, len), ':', &name, &value) || !is_token(name))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (line[i] >= 'A' && line[i] <= 'Z')
            line[i] = (uint8_t)(line[i] + ('a' - 'A'));
    }
    *field = (struct http_field){name, trim(value)};
    return true;
}

/* ---- the request line ---- */

static uint16_t
parse_version(struct span version, struct request *request)
{
    if (version.len != 8 || memcmp(version.ptr, "HTTP/", 5) != 0 || version.ptr[6] != '.' ||
        version.ptr[5] < '0' || version.ptr[5] > '9' || version.ptr[7] < '0' ||
        version.ptr[7] > '9')
        return 400;
    if (version.ptr[5] != '1' || version.ptr[7] > '1')
        return 505;
    request->http10 = version.ptr[7] == '0';
    return 0;
}

/* Origin form, "*" for OPTIONS, or absolute form, whose authority must then be the Host field's.
 * *authority is empty unless absolute. */
static bool
parse_target(struct span target, struct request *request, struct span *authority)
{
    size_t skip = target.len >= 7 && strncasecmp((const char *)target.ptr, "http://", 7) == 0 ? 7
                  : target.len >= 8 && strncasecmp((const char *)target.ptr, "https://", 8) == 0
                      ? 8
                      : 0;

    *authority = span_of(target.ptr, 0);
    if (span_is(target, "*")) {
        request->path = target;
        return request->method == METHOD_OPTIONS;
    }
    if (skip > 0) {
        size_t n = skip;

        while (n < target.len && target.ptr[n] != '/' && target.ptr[n] != '?')
            n++;
        *authority = span_of(target.ptr + skip, n - skip);
        target = span_of(target.ptr + n, target.len - n);
        if (authority->len == 0)
            return false;
    }
    split(target, '?', &request->path, &request->query);
    if (request->path.len == 0 && authority->len > 0)
        request->path = span_str("/");
    return request->path.len > 0 && request->path.ptr[0] == '/' &&
           is_target_part(request->path, false) && is_target_part(request->query, true);
}

static uint16_t
parse_request_line(struct span line, struct request *request, struct span *authority)
{
    struct span method, target, version;
    uint16_t status;
    size_t i;

    if (!split(line, ' ', &method, &target) || !split(target, ' ', &target, &version) ||
        !is_token(method) || target.len == 0)
        return 400;
    if ((status = parse_version(version, request)) != 0)
        return status;
    for (i = 0; i < METHODS && !span_is(method, method_names[i]); i++)
        continue;
    if (i == METHODS)
        return 501;
    request->method = (enum http_method)i;
    return parse_target(target, request, authority) ? 0 : 400;
}

/* ---- what the fields mean together ---- */

static bool
check_host(struct request *request, struct span authority)
{
    const struct span *host = http_field(request, "host");
    size_t count = http_field_count(request, "host");

    if (count == 0) {
        request->host = authority;
        return request->http10 && (authority.len == 0 || is_host(authority));
    }
    request->host = *host;
    if (count > 1 || !is_host(*host))
        return false;
    return authority.len == 0 ||
           (authority.len == host->len &&
               strncasecmp((const char *)authority.ptr, (const char *)host->ptr, host->len) == 0);
}

static bool
parse_length(struct span s, uint64_t *out)
{
    uint64_t n = 0;

    if (s.len == 0 || s.len > 18) /* 10^18 is below 2^63 */
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        n = n * 10 + (unsigned)(s.ptr[i] - '0');
    }
    *out = n;
    return true;
}

static bool
check_body(struct head *head)
{
    struct request *request = &head->request;
    const struct span *length = http_field(request, "content-length");
    const struct span *coding = http_field(request, "transfer-encoding");

    head->body = HEAD_BODY_NONE;
    if (length != NULL && coding != NULL)
        return false;
    if (coding != NULL) {
        head->body = HEAD_BODY_CHUNKED;
        request->body_announced = SIZE_MAX;
        return !request->http10 && http_field_count(request, "transfer-encoding") == 1 &&
               same_text(*coding, "chunked");
    }
    if (length == NULL)
        return true;
    if (http_field_count(request, "content-length") != 1 || !parse_length(*length, &head->body_len))
        return false;
    if (head->body_len > 0)
        head->body = HEAD_BODY_LENGTH;
    request->body_announced = (size_t)head->body_len;
    return true;
}

/* RFC 6455 section 4.2.1. Asking for another protocol ("h2c") is ignored, as it may be. */
static uint16_t
check_websocket(struct head *head)
{
    struct request *request = &head->request;
    const struct span *key = http_field(request, "sec-websocket-key");
    const struct span *version = http_field(request, "sec-websocket-version");
    uint8_t raw[16];
    size_t raw_len;

    if (!list_has(request, "upgrade", "websocket"))
        return 0;
    if (request->method != METHOD_GET || request->http10 || head->body != HEAD_BODY_NONE ||
        !list_has(request, "connection", "upgrade") || key == NULL || key->len != 24 ||
        http_field_count(request, "sec-websocket-key") != 1 ||
        http_field_count(request, "sec-websocket-version") > 1 ||
        sodium_base642bin(raw, sizeof(raw), (const char *)key->ptr, key->len, NULL, &raw_len, NULL,
            sodium_base64_VARIANT_ORIGINAL) != 0 ||
        raw_len != sizeof(raw))
        return 400;
    if (version == NULL || !span_is(*version, "13"))
        return 426;
    request->wants_websocket = true;
    return 0;
}

static uint16_t
check_expect(struct head *head)
{
    const struct span *expect = http_field(&head->request, "expect");

    if (expect == NULL || head->request.http10)
        return 0;
    if (!same_text(*expect, "100-continue"))
        return 417;
    head->expects_continue = head->body != HEAD_BODY_NONE;
    return 0;
}

/* ---- the second opinion ---- */

static int
pause_there(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static bool
llhttp_agrees(const uint8_t *bytes, size_t len, const struct head *head)
{
    llhttp_settings_t settings;
    llhttp_t parser;
    bool chunked, length;

    llhttp_settings_init(&settings);
    settings.on_headers_complete = pause_there;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    if (llhttp_execute(&parser, (const char *)bytes, len) != HPE_PAUSED)
        return false;
    chunked = (parser.flags & F_CHUNKED) != 0;
    length = (parser.flags & F_CONTENT_LENGTH) != 0;
    return parser.http_major == 1 && parser.http_minor == (head->request.http10 ? 0 : 1) &&
           strcmp(llhttp_method_name((llhttp_method_t)parser.method),
               http_method_name(head->request.method)) == 0 &&
           chunked == (head->body == HEAD_BODY_CHUNKED) &&
           (length ? parser.content_length == head->body_len : head->body != HEAD_BODY_LENGTH);
}

/* ---- the whole ---- */

static uint16_t
parse_lines(uint8_t *bytes, size_t len, struct head *head, struct span *authority)
{
    struct request *request = &head->request;
    uint8_t *line = bytes, *end = bytes + len;
    bool first = true;

    request->fields = head->fields;
    while (line < end) {
        uint8_t *cr = memchr(line, '\r', (size_t)(end - line));
        size_t line_len;
        uint16_t status;

        if (cr == NULL || end - cr < 2)
            return 400;
        line_len = (size_t)(cr - line);
        if (line_len == 0)
            return cr + 2 == end && !first ? 0 : 400;
        if (first) {
            if ((status = parse_request_line(span_of(line, line_len), request, authority)) != 0)
                return status;
        } else {
            if (request->field_count == HTTP_FIELDS_MAX)
                return 431;
            if (!parse_field(line, line_len, &head->fields[request->field_count++]))
                return 400;
        }
        first = false;
        line = cr + 2;
    }
    return 400;
}

uint16_t
head_parse(uint8_t *bytes, size_t len, struct head *head)
{
    struct request *request = &head->request;
    struct span authority = {0};
    uint16_t status;

    memset(head, 0, offsetof(struct head, fields));
    if ((status = parse_lines(bytes, len, head, &authority)) != 0)
        return status;
    if (!check_host(request, authority) || !check_body(head))
        return 400;
    head->close = request->http10 || list_has(request, "connection", "close");
    if ((status = check_expect(head)) != 0 || (status = check_websocket(head)) != 0)
        return status;
    return llhttp_agrees(bytes, len, head) ? 0 : 400;
}

void
head_accept(struct span key, char out[HEAD_ACCEPT_LEN + 1])
{
    const struct span parts[] = {key, span_str("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")};
    uint8_t digest[SHA_1_BYTES];

    sha_1(parts, 2, digest);
    sodium_bin2base64(
        out, HEAD_ACCEPT_LEN + 1, digest, sizeof(digest), sodium_base64_VARIANT_ORIGINAL);
}
