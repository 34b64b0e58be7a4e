/* test_config.c: one table, four sources, and an error with its place for everything else. */
#include "tests/unit/testing.h"

#include "core/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct config config;
static struct config_error error;
static char *const no_env[] = {NULL};

static void
text_says(const char *text, const char *want)
{
    config_init(&config);
    if (config_text(&config, "x.conf", span_str(text), &error) == OK)
        fail_msg("taken: %s", text);
    if (strstr(error.text, want) == NULL)
        fail_msg("%s: %s", text, error.text);
}

static void
bad_files_are_refused_with_their_line(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"bogus = 1", "x.conf line 1: bogus is not a known option"},
        {"\n# comment\nloops=65", "x.conf line 3: loops: must be 0 to 64, not '65'"},
        {"loops = -1", "line 1: loops: must be 0 to 64"},
        {"loops = 1.5", "must be 0 to 64"},
        {"loops = 08", "must be 0 to 64"},
        {"loops = 0x1", "must be 0 to 64"},
        {"loops =", "must be 0 to 64"},
        {"loops = 99999999999999999999", "must be 0 to 64"},
        {"loops", "line 1: expected name = value"},
        {"loops = 1\nloops = 1", "line 2: loops: is given twice"},
        {"[other]\nloops = 1", "line 1: the only section is [gatehouse]"},
        {"[gatehouse", "line 1: the only section"},
        {"listen = 8443", "must be ADDRESS:PORT"},
        {"listen = localhost:8443", "must be ADDRESS:PORT"},
        {"listen =", "must be ADDRESS:PORT"},
        {"log-level = loud", "must be one of debug|info|warn|error, not 'loud'"},
        {"log-level = inf", "must be one of"},
        {"log-map-size = 5", "must be a size from 64M to 64T"},
        {"log-map-size = 16GB", "must be a size"},
        {"log-map-size = 99999999999999999T", "must be a size"},
        {"trusted-proxies = 10.0.0.1/8", "comma-separated list of addresses"},
        {"public-url = https://gate.example.org/", "without a path"},
        {"public-url = gate.example.org", "must be https://host"},
        {"public-url = https://Gate.example.org", "lower case"},
        {"public-url = https://u@gate.example.org", "must be https://host"},
        {"public-url = https://gate.example.org:443", "must be https://host"},
        {"public-url = ftp://gate.example.org", "must be https://host"},
        {"allowed-origins = https://a.example,", "comma-separated"},
        {"state-dir = /tmp", "is not for the file"},
        {"tls-cert = /a\tb\x01", "holds a control character"},
        {"tls-cert = /a\xff", "is not valid UTF-8"},
        {"\x1b[2J = 1", "\\x1b[2J is not a known option"},
    };
    char big[CONFIG_VALUE_BYTES_MAX + 200];

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++)
        text_says(cases[i].text, cases[i].want);
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    memcpy(big, "tls-cert=", 9);
    text_says(big, "line 1: is too long");
    big[9 + CONFIG_VALUE_BYTES_MAX + 1] = '\0';
    text_says(big, "is longer than 2000 bytes");
    big[9 + CONFIG_VALUE_BYTES_MAX] = '\0';
    assert_int_equal(config_text(&config, "x.conf", span_str(big), &error), OK);
    assert_int_equal(strlen(config_string(&config, CONFIG_TLS_CERT)), CONFIG_VALUE_BYTES_MAX);
    config_init(&config);
    assert_int_equal(
        config_text(&config, "x.conf", span_of("loops=1\0", 8), &error), ERR_MALFORMED);
}

static void
a_good_file_is_typed(void **state)
{
    static const char text[] = "# head\n[gatehouse]\r\n  listen = [::1]:9443 ; inline\r\n"
                               "log-map-size=16G\nlog-format: json\n"
                               "trusted-proxies = 10.0.0.0/8, ::1\nloops=4";

    (void)state;
    config_init(&config);
    if (config_text(&config, "x.conf", span_str(text), &error) != OK)
        fail_msg("%s", error.text);
    assert_int_equal(config.values[CONFIG_LISTEN].port, 9443);
    assert_true(addr_is_loopback(&config.values[CONFIG_LISTEN].addr));
    assert_int_equal(config.values[CONFIG_LISTEN].line, 3);
    assert_true(config_number(&config, CONFIG_LOG_MAP_SIZE) == UINT64_C(16) << 30);
    assert_int_equal(config_number(&config, CONFIG_LOG_FORMAT), 1);
    assert_int_equal(config_number(&config, CONFIG_LOOPS), 4);
    assert_int_equal(config.trusted_proxies.count, 2);
    assert_int_equal(config.values[CONFIG_LOOPS].source, CONFIG_FROM_FILE);
    assert_int_equal(config.values[CONFIG_METRICS].source, CONFIG_FROM_DEFAULT);
}

static void
stronger_sources_win(void **state)
{
    char *flags[] = {"--loops", "1", "--log-level=debug"};
    char *env[] = {"PATH=/bin", "GATEHOUSE_LOOPS=2", "GATEHOUSE_LOG_FORMAT=json",
        "GATEHOUSE_SERVER=https://elsewhere", NULL};
    static const char file[] = "loops=3\nlog-format=text\nconnections-max=100\nlog-level=bogus";

    (void)state;
    config_init(&config);
    assert_int_equal(config_flags(&config, 3, flags, &error), OK);
    assert_int_equal(config_environment(&config, env, &error), OK);
    assert_int_equal(config_text(&config, "f", span_of(file, 44), &error), OK);
    assert_int_equal(config_number(&config, CONFIG_LOOPS), 1);
    assert_int_equal(config_number(&config, CONFIG_LOG_FORMAT), 1);
    assert_int_equal(config.values[CONFIG_LOG_FORMAT].source, CONFIG_FROM_ENVIRONMENT);
    assert_int_equal(config_number(&config, CONFIG_CONNECTIONS_MAX), 100);
    assert_int_equal(config.values[CONFIG_CONNECTIONS_MAX].source, CONFIG_FROM_FILE);
    /* a bad value is an error even where a stronger one would win */
    config_init(&config);
    assert_int_equal(config_flags(&config, 3, flags, &error), OK);
    assert_int_equal(config_text(&config, "f", span_str(file), &error), ERR_MALFORMED);
    assert_non_null(strstr(error.text, "f line 4: log-level"));
}

static void
bad_flags_and_variables_are_named(void **state)
{
    static const struct {
        char *flags[3];
        int count;
        const char *want;
    } cases[] = {
        {{"--bogus", "1"}, 2, "--bogus: is not a known option"},
        {{"--loops"}, 1, "--loops: needs a value"},
        {{"--loops=x"}, 1, "--loops: must be 0 to 64, not 'x'"},
        {{"--loops=1", "--loops=1"}, 2, "--loops: is given twice"},
        {{"loops"}, 1, "'loops': is not an option"},
        {{"--"}, 1, "'--': is not an option"},
        {{"-l"}, 1, "'-l': is not an option"},
        {{"--\x1b[2J=1"}, 1, "--\\x1b[2J: is not a known option"},
    };
    static const struct {
        char *env, *want;
    } variables[] = {
        {"GATEHOUSE_BOGUS=1", "environment GATEHOUSE_BOGUS: is not a known option"},
        {"GATEHOUSE_LOOPS=many", "environment GATEHOUSE_LOOPS: must be 0 to 64, not 'many'"},
        {"GATEHOUSE_LOG-LEVEL=info", "GATEHOUSE_LOG-LEVEL: is not a known option"},
        {"GATEHOUSE_LOOPS", "is not a known option"},
        {"GATEHOUSE_=1", "is not a known option"},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        config_init(&config);
        assert_int_not_equal(config_flags(&config, cases[i].count, cases[i].flags, &error), OK);
        if (strstr(error.text, cases[i].want) == NULL)
            fail_msg("%s: %s", cases[i].want, error.text);
    }
    for (size_t i = 0; i < ROWS(variables); i++) {
        char *env[] = {variables[i].env, NULL};

        config_init(&config);
        assert_int_not_equal(config_environment(&config, env, &error), OK);
        if (strstr(error.text, variables[i].want) == NULL)
            fail_msg("%s: %s", variables[i].want, error.text);
    }
}

static void
rules_between_options_hold(void **state)
{
    static const struct {
        const char *text, *want; /* NULL: fine */
    } cases[] = {
        {"", NULL},
        {"listen = [::1]:0", NULL},
        {"listen = 0.0.0.0:443", "there is no certificate"},
        {"listen = 0.0.0.0:443\ntls-cert = /c", "tls-cert is set, but tls-key is not"},
        {"tls-key = /k", "tls-key is set, but tls-cert is not"},
        {"listen = 0.0.0.0:443\ntls-cert = /c\ntls-key = /k", NULL},
        {"listen-plain = 0.0.0.0:80", "only redirects to TLS"},
        {"tls-cert = /c\ntls-key = /k\nlisten-plain = 0.0.0.0:80", "redirects to public-url"},
        {"tls-cert = /c\ntls-key = /k\nlisten-plain = 0.0.0.0:80\npublic-url = https://g.example",
            NULL},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        config_init(&config);
        assert_int_equal(config_text(&config, "f", span_str(cases[i].text), &error), OK);
        if ((config_check(&config, &error) == OK) != (cases[i].want == NULL))
            fail_msg("%s", cases[i].text);
        if (cases[i].want != NULL && strstr(error.text, cases[i].want) == NULL)
            fail_msg("%s: %s", cases[i].text, error.text);
    }
}

static void
origins_are_as_browsers_send_them(void **state)
{
    static const char *const yes[] = {"https://a", "https://gate.example.org",
        "http://127.0.0.1:8080", "https://[2001:db8::1]:8443", "https://a-b.c:1",
        "http://localhost:443", "https://[::1]"};
    static const char *const no[] = {"", "null", "https://", "https:///", "//a",
        "https://a:", "https://a:0", "https://a:65536", "https://a:080", "https://a b",
        "https://a?x", "https://a#x", "https://a/", "https://[::1", "https://[a]",
        "https://1.2.3.400", "http://a:80", "HTTPS://a", "https://.a", "https://a:1:2",
        "https://*"};

    (void)state;
    for (size_t i = 0; i < ROWS(yes); i++)
        if (!config_origin_valid(span_str(yes[i])))
            fail_msg("refused: %s", yes[i]);
    for (size_t i = 0; i < ROWS(no); i++)
        if (config_origin_valid(span_str(no[i])))
            fail_msg("taken: %s", no[i]);
}

static void
load_finds_the_file_of_the_state_folder(void **state)
{
    char dir[] = "/tmp/gatehouse-test-XXXXXX", flag[64], path[64];
    char *flags[] = {flag, "--config=/nonexistent.conf"};
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(flag, sizeof(flag), "--state-dir=%s", dir);
    snprintf(path, sizeof(path), "%s/gatehouse.conf", dir);
    assert_int_equal(config_load(&config, 1, flags, no_env, &error), OK); /* none is fine */
    assert_non_null(f = fopen(path, "w"));
    fputs("loops = 7\n", f);
    fclose(f);
    assert_int_equal(config_load(&config, 1, flags, no_env, &error), OK);
    assert_int_equal(config_number(&config, CONFIG_LOOPS), 7);
    assert_int_equal(config_load(&config, 2, flags, no_env, &error), ERR_IO);
    assert_non_null(strstr(error.text, "/nonexistent.conf"));
    unlink(path);
    rmdir(dir);
}

static char *
printed(void (*print)(FILE *))
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    assert_non_null(f);
    print(f);
    fclose(f);
    return text;
}

static void
show(FILE *f)
{
    config_show(&config, f);
}

static void
people_see_every_option_and_its_source(void **state)
{
    char *help, *shown;

    (void)state;
    config_init(&config);
    assert_int_equal(config_text(&config, "f", span_str("\nloops = 7"), &error), OK);
    help = printed(config_help);
    shown = printed(show);
    for (int i = 0; i < CONFIG_OPTIONS; i++) {
        assert_non_null(strstr(help, config_row((enum config_option)i)->name));
        assert_non_null(strstr(help, config_row((enum config_option)i)->help));
        assert_non_null(strstr(shown, config_row((enum config_option)i)->name));
    }
    assert_non_null(strstr(shown, "7                                file line 2\n"));
    assert_non_null(strstr(shown, "metrics            -                                default\n"));
    free(help);
    free(shown);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files_are_refused_with_their_line),
        cmocka_unit_test(a_good_file_is_typed),
        cmocka_unit_test(stronger_sources_win),
        cmocka_unit_test(bad_flags_and_variables_are_named),
        cmocka_unit_test(rules_between_options_hold),
        cmocka_unit_test(origins_are_as_browsers_send_them),
        cmocka_unit_test(load_finds_the_file_of_the_state_folder),
        cmocka_unit_test(people_see_every_option_and_its_source),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
