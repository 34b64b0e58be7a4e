/* fuzz_logfile.c: a log file from a stranger: judged without a crash, and without more memory than
 * the file is long. */
#include "core/logfile.h"

struct in {
    const uint8_t *data;
    size_t left;
};

static enum err
read_in(void *ctx, uint8_t *out, size_t cap, size_t *len)
{
    struct in *in = ctx;

    *len = in->left < cap ? in->left : cap;
    memcpy(out, in->data, *len);
    in->data += *len;
    in->left -= *len;
    return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct in in = {data, size};
    struct logfile_verify how = {.in = &in, .read = read_in};
    struct verify_result result;
    char why[LOGFILE_WHY_BYTES];
    enum err err = logfile_verify(&how, &result, why);

    INVARIANT((err == ERR_MISMATCH) == result.bad || err != OK);
    INVARIANT(err == OK || result.bad || why[0] != '\0');
    return 0;
}
