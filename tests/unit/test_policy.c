/* test_policy.c: the default policy's bytes, what a policy may say, and the whole matrix of rights.
 */
#include "testing.h"

#include <string.h>

#include "core/pack.h"
#include "core/policy.h"
#include "core/rights.h"

static size_t
encode(const struct policy *p, uint8_t out[1024])
{
    size_t len;

    assert_int_equal(policy_encode(p, out, 1024, &len), OK);
    return len;
}

/* A changed byte here is another default for everybody who runs `init`, on purpose or not at all.
 */
static void
default_is_golden(void **state)
{
    static const char want[] =
        "de0013018f0192053c0292323c0392cd02583c04920acd03840592023c06923c3c07920a3c08923c"
        "3c099201cd02580a921e3c0b92053c0c920a3c0d921e3c0e92643c0f920acd038402cd038403cda8c004cd07"
        "08051e06cd025807cd03e808cd038409780acd38400bcd07080c1e0dce00093a800e3c0f001001110a12cd07d"
        "0130a";
    struct policy p;
    uint8_t bytes[1024];
    char hex[2049];
    size_t len;

    (void)state;
    policy_default(&p);
    len = encode(&p, bytes);
    for (size_t i = 0; i < len; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(hex, want);
}

static void
round_trip(void **state)
{
    struct policy p, back;
    uint8_t bytes[1024], again[1024];
    size_t len, len_again;

    (void)state;
    policy_default(&p);
    p.rules[RULE_LOGIN_NET].count = 7;
    p.rules[RULE_CODE_WIDE].window_s = 61;
    p.access_s = 1;
    p.registration_open = 1;
    len = encode(&p, bytes);
    assert_int_equal(policy_decode(span_of(bytes, len), &back), OK);
    assert_memory_equal(&p, &back, sizeof(p));
    len_again = encode(&back, again);
    assert_int_equal(len, len_again);
    assert_memory_equal(bytes, again, len);
    assert_int_equal(policy_encode(&p, again, len - 1, &len_again), ERR_LIMIT);
}

/* What an older build did not know keeps the default. */
static void
what_is_left_out(void **state)
{
    static const uint8_t bytes[] = {0x81, 0x02, 0x3c}; /* {2: 60}: access_s alone */
    struct policy p, want;

    (void)state;
    policy_default(&want);
    want.access_s = 60;
    assert_int_equal(policy_decode(span_of(bytes, sizeof(bytes)), &p), OK);
    assert_memory_equal(&p, &want, sizeof(p));
}

static const struct {
    const char *what;
    const char *bytes;
    size_t len;
    enum err want;
} bad[] = {
    {"nothing", "", 0, ERR_SHORT},
    {"not a map", "\x91\x02", 2, ERR_MALFORMED},
    {"unknown member", "\x81\x14\x01", 3, ERR_MALFORMED},
    {"member 0", "\x81\x00\x01", 3, ERR_MALFORMED},
    {"unknown rule", "\x81\x01\x81\x10\x92\x01\x01", 7, ERR_MALFORMED},
    {"rule 0", "\x81\x01\x81\x00\x92\x01\x01", 7, ERR_MALFORMED},
    {"rule of three numbers", "\x81\x01\x81\x01\x93\x01\x01\x01", 8, ERR_MALFORMED},
    {"rule that allows nothing", "\x81\x01\x81\x01\x92\x00\x3c", 7, ERR_LIMIT},
    {"rule without a window", "\x81\x01\x81\x01\x92\x05\x00", 7, ERR_LIMIT},
    {"rule of 10001", "\x81\x01\x81\x01\x92\xcd\x27\x11\x3c", 9, ERR_LIMIT},
    {"rule over a day and a second", "\x81\x01\x81\x01\x92\x05\xce\x00\x01\x51\x81", 11, ERR_LIMIT},
    {"access of no time", "\x81\x02\x00", 3, ERR_LIMIT},
    {"access of more than an hour", "\x81\x02\xcd\x0e\x11", 5, ERR_LIMIT},
    {"registration half open", "\x81\x0f\x02", 3, ERR_LIMIT},
    {"text for a number", "\x81\x02\xa1x", 4, ERR_MALFORMED},
    {"negative", "\x81\x02\xff", 3, ERR_MALFORMED},
    {"not canonical", "\x81\x02\xcc\x01", 4, ERR_MALFORMED},
    {"twice", "\x82\x02\x01\x02\x01", 5, ERR_MALFORMED},
    {"bytes behind", "\x81\x02\x01\x01", 4, ERR_MALFORMED},
};

static void
refused(void **state)
{
    struct policy p;

    (void)state;
    for (size_t i = 0; i < ROWS(bad); i++) {
        enum err err = policy_decode(span_of(bad[i].bytes, bad[i].len), &p);

        if (err != bad[i].want)
            fail_msg("%s: %s, expected %s", bad[i].what, err_name(err), err_name(bad[i].want));
    }
}

/* Design section 7, for people who read the table there. */
static void
default_says_what_the_design_says(void **state)
{
    static const struct {
        enum rule rule;
        uint32_t count, window_s;
        const char *name;
    } rules[] = {
        {RULE_LOGIN_NET, 5, 60, "login_net"},
        {RULE_LOGIN_WIDE, 50, 60, "login_wide"},
        {RULE_LOGIN_ALL, 600, 60, "login_all"},
        {RULE_LOGIN_ACCOUNT, 10, 900, "login_account"},
        {RULE_REGISTER_NET, 2, 60, "register_net"},
        {RULE_REGISTER_ALL, 60, 60, "register_all"},
        {RULE_CODE_NET, 10, 60, "code_net"},
        {RULE_CODE_WIDE, 100, 60, "code_wide"},
        {RULE_CODE_FAIL_ALL, 60, 60, "code_fail_all"},
        {RULE_CODE_FAIL_NET, 1, 600, "code_fail_net"},
        {RULE_REFRESH_NET, 30, 60, "refresh_net"},
        {RULE_PASSWORD_USER, 5, 60, "password_user"},
        {RULE_AGENT_REFUSED_NET, 10, 60, "agent_refused_net"},
        {RULE_SESSION_USER, 30, 60, "session_user"},
        {RULE_LOGIN_DEVICE, 10, 900, "login_device"},
    };
    struct policy p;

    (void)state;
    policy_default(&p);
    assert_int_equal(ROWS(rules), RULE_COUNT - 1);
    for (size_t i = 0; i < ROWS(rules); i++) {
        assert_int_equal(p.rules[rules[i].rule].count, rules[i].count);
        assert_int_equal(p.rules[rules[i].rule].window_s, rules[i].window_s);
        assert_string_equal(rule_name(rules[i].rule), rules[i].name);
    }
    assert_int_equal(p.access_s, 900);
    assert_int_equal(p.family_s, 43200);
    assert_int_equal(p.family_idle_s, 1800);
    assert_int_equal(p.refresh_grace_s, 30);
    assert_int_equal(p.code_s, 600);
    assert_int_equal(p.codes_live_max, 1000);
    assert_int_equal(p.guest_idle_s, 900);
    assert_int_equal(p.consent_s, 120);
    assert_int_equal(p.session_s, 14400);
    assert_int_equal(p.session_idle_s, 1800);
    assert_int_equal(p.ticket_s, 30);
    assert_int_equal(p.invite_s, 7 * 86400);
    assert_int_equal(p.heartbeat_s, 60);
    assert_int_equal(p.registration_open, 0);
    assert_int_equal(p.session_network, NETWORK_PAUSE);
    assert_int_equal(p.machines_alert, 10);
}

static const struct {
    enum action action;
    const char *name, *roles; /* of "atu": admin, technician, auditor */
} matrix[] = {
    {ACTION_NONE, "none", ""},
    {ACTION_ME, "me", "atu"},
    {ACTION_CODE_ISSUE, "code_issue", "at"},
    {ACTION_CODE_LIST, "code_list", "atu"},
    {ACTION_CODE_REVOKE, "code_revoke", "at"},
    {ACTION_MACHINE_READ, "machine_read", "atu"},
    {ACTION_MACHINE_ADD, "machine_add", "a"},
    {ACTION_MACHINE_CHANGE, "machine_change", "a"},
    {ACTION_MACHINE_REMOVE, "machine_remove", "a"},
    {ACTION_KEY_ISSUE, "key_issue", "a"},
    {ACTION_KEY_REVOKE, "key_revoke", "a"},
    {ACTION_ALLOWLIST_SET, "allowlist_set", "a"},
    {ACTION_SESSION_OPEN, "session_open", "at"},
    {ACTION_SESSION_READ, "session_read", "atu"},
    {ACTION_SESSION_END, "session_end", "at"},
    {ACTION_SESSION_NOTE, "session_note", "at"},
    {ACTION_USER_READ, "user_read", "au"},
    {ACTION_USER_CHANGE, "user_change", "a"},
    {ACTION_INVITE_ISSUE, "invite_issue", "a"},
    {ACTION_TOKEN_READ, "token_read", "atu"},
    {ACTION_TOKEN_REVOKE, "token_revoke", "atu"},
    {ACTION_AUDIT_READ, "audit_read", "au"},
    {ACTION_ALERT_ACK, "alert_ack", "a"},
    {ACTION_SERVER_ADMIN, "server_admin", "a"},
};

static void
rights(void **state)
{
    static const struct {
        enum role role;
        char letter;
    } roles[] = {{ROLE_NONE, '-'}, {ROLE_ADMIN, 'a'}, {ROLE_TECHNICIAN, 't'}, {ROLE_AUDITOR, 'u'}};

    (void)state;
    assert_int_equal(ROWS(matrix), ACTION_COUNT);
    for (size_t i = 0; i < ROWS(matrix); i++) {
        assert_string_equal(action_name(matrix[i].action), matrix[i].name);
        for (size_t r = 0; r < ROWS(roles); r++)
            if (rights_allow(roles[r].role, matrix[i].action) !=
                (strchr(matrix[i].roles, roles[r].letter) != NULL))
                fail_msg("%s as %s", matrix[i].name, role_name(roles[r].role));
    }
    assert_false(rights_allow((enum role)4, ACTION_ME));
    assert_false(rights_allow((enum role)33, ACTION_ME)); /* a shift by 33 is not one by 1 */
}

static void
role_names(void **state)
{
    (void)state;
    assert_int_equal(role_parse(span_str("admin")), ROLE_ADMIN);
    assert_int_equal(role_parse(span_str("technician")), ROLE_TECHNICIAN);
    assert_int_equal(role_parse(span_str("auditor")), ROLE_AUDITOR);
    assert_int_equal(role_parse(span_str("none")), ROLE_NONE);
    assert_int_equal(role_parse(span_str("Admin")), ROLE_NONE);
    assert_int_equal(role_parse(span_str("")), ROLE_NONE);
    assert_string_equal(role_name(ROLE_NONE), "none");
}

/* Each number has one name, and can be written as it is shown. */
static void
items_can_be_set_as_they_are_shown(void **state)
{
    struct policy p, copy;
    struct policy_item item, other;
    char assignment[80];
    size_t n = 0;

    (void)state;
    policy_default(&p);
    for (; policy_item(&p, n, &item); n++) {
        assert_string_equal(item.value, item.normal);
        for (size_t j = 0; j < n; j++) {
            assert_true(policy_item(&p, j, &other));
            assert_string_not_equal(item.name, other.name);
        }
        snprintf(assignment, sizeof(assignment), "%s=%s", item.name, item.value);
        memset(&copy, 0, sizeof(copy));
        assert_int_equal(policy_set(&copy, span_str(assignment)), OK);
        assert_true(policy_item(&copy, n, &other));
        assert_string_equal(other.value, item.value);
    }
    assert_true(n >= RULE_COUNT - 1 + 14);
}

static void
set_takes_what_the_range_allows(void **state)
{
    static const struct {
        const char *text;
        enum err err;
    } cases[] = {
        {"login_net=7/61", OK},
        {"registration_open=1", OK},
        {"refresh_grace_s=0", OK},
        {"login_net=0/60", ERR_LIMIT},
        {"login_net=10001/60", ERR_LIMIT},
        {"login_net=5/86401", ERR_LIMIT},
        {"login_net=5", ERR_MALFORMED},
        {"login_net=5/", ERR_MALFORMED},
        {"login_net=/5", ERR_MALFORMED},
        {"login_net=5/6/7", ERR_MALFORMED},
        {"login_net= 5/60", ERR_MALFORMED},
        {"login_net=-5/60", ERR_MALFORMED},
        {"session_s=0", ERR_LIMIT},
        {"session_s=05", ERR_MALFORMED},
        {"session_s=4/60", ERR_MALFORMED},
        {"session_s=99999999999999999999999", ERR_LIMIT},
        {"session_s", ERR_MALFORMED},
        {"session=5", ERR_NOT_FOUND},
        {"none=5/60", ERR_NOT_FOUND},
        {"=5", ERR_NOT_FOUND},
        {"", ERR_MALFORMED},
    };
    struct policy normal, p;

    (void)state;
    policy_default(&normal);
    for (size_t i = 0; i < ROWS(cases); i++) {
        policy_default(&p);
        if (policy_set(&p, span_str(cases[i].text)) != cases[i].err)
            fail_msg("%s", cases[i].text);
        assert_int_equal(memcmp(&p, &normal, sizeof(p)) == 0, cases[i].err != OK);
    }
    assert_int_equal(policy_set(&p, span_str("login_net=7/61")), OK);
    assert_int_equal(p.rules[RULE_LOGIN_NET].count, 7);
    assert_int_equal(p.rules[RULE_LOGIN_NET].window_s, 61);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_can_be_set_as_they_are_shown),
        cmocka_unit_test(set_takes_what_the_range_allows),
        cmocka_unit_test(default_is_golden),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(what_is_left_out),
        cmocka_unit_test(refused),
        cmocka_unit_test(default_says_what_the_design_says),
        cmocka_unit_test(rights),
        cmocka_unit_test(role_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
