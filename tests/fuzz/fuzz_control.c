/* fuzz_control.c: what the control decoder takes, from either side, encodes to the same bytes. */
#include "core/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_sender(enum control_sender sender, struct span bytes)
{
    static uint8_t again[CONTROL_BYTES_MAX];
    struct personal_hello hello;
    struct personal_consent consent;
    struct control message;
    char why[CONTROL_WHY_MAX];
    size_t len;

    if (control_decode(sender, bytes, &message, why) != OK) {
        INVARIANT(memchr(why, '\0', sizeof(why)) != NULL);
        return;
    }
    INVARIANT(control_encode(&message, again, sizeof(again), &len) == OK);
    INVARIANT(span_equal(bytes, span_of(again, len)));
    if (message.kind == CONTROL_HELLO)
        (void)!personal_hello_decode(message.said.personal, &hello);
    if (message.kind == CONTROL_CONSENT)
        (void)!personal_consent_decode(message.said.personal, &consent);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_sender(CONTROL_BY_SERVER, span_of(data, size));
    try_sender(CONTROL_BY_AGENT, span_of(data, size));
    return 0;
}
