/* configshow.c: gatehouse config show: what `gatehouse serve` would go by, called alike, and where
 * each value is from. */
#include "tools/gatehouse/configshow.h"

#include <stdio.h>
#include <unistd.h>

#include "core/config.h"
#include "core/json_write.h"
#include "tools/gatehouse/cli.h"
#include "tools/gatehouse/exit.h"

static void
show_json(const struct config *config)
{
    static const char *const sources[] = {"default", "file", "environment", "flag"};
    struct json_write out;

    json_write_init(&out, NULL, NULL);
    json_write_object(&out, NULL);
    json_write_array(&out, "items");
    for (int i = 0; i < CONFIG_OPTIONS; i++) {
        const struct config_value *v = &config->values[i];

        json_write_object(&out, NULL);
        json_write_str(&out, "name", config_row((enum config_option)i)->name);
        json_write_str(&out, "value", v->text);
        json_write_str(&out, "from", sources[v->source]);
        if (v->source == CONFIG_FROM_FILE)
            json_write_uint(&out, "line", v->line);
        json_write_end(&out);
    }
    json_write_end(&out);
    json_write_end(&out);
    if (json_write_done(&out) == OK)
        printf("%.*s\n", (int)out.len, (const char *)out.buf);
    json_write_fini(&out);
}

int
config_main(int argc, char **argv)
{
    static struct config config;
    struct config_error error;
    bool json = cli_take_flag("--json", &argc, argv);

    if (argc < 2 || strcmp(argv[1], "show") != 0) {
        fputs("usage: gatehouse config show [options of serve] [--json]\n", stderr);
        return argc > 1 && strcmp(argv[1], "--help") == 0 ? EXIT_DONE : EXIT_USAGE;
    }
    config_init(&config);
    if (config_load(&config, argc - 2, argv + 2, environ, &error) != OK) {
        fprintf(stderr, "gatehouse config show: %s\n", error.text);
        return EXIT_USAGE;
    }
    if (json)
        show_json(&config);
    else
        config_show(&config, stdout);
    if (config_check(&config, &error) == OK)
        return EXIT_DONE;
    fprintf(stderr, "gatehouse config show: serve would refuse this: %s\n", error.text);
    return EXIT_REFUSED;
}
