#include "cli/cert.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/files.h"
#include "net/tls_authority.h"

// Browsers ask for at most 398 days of public certificates, and we count a day for slow clocks.
#define DAYS_DEFAULT 397

// Devices of Apple take 825 days at most, of private authorities too.
#define DAYS_MAX 824

#define CA_DAYS_DEFAULT 3650
#define CA_DAYS_MAX 36500

// Any more would make a certificate of several packets.
#define NAMES_MAX 64

#define AUTHORITY_CERTIFICATE "ca.pem"
#define AUTHORITY_KEY "ca-key.pem"
#define SERVER_CERTIFICATE "cert.pem"
#define SERVER_KEY "key.pem"

struct arguments {
    const char *out;
    unsigned days;
    unsigned ca_days;
    bool quiet;
    unsigned name_count;
    struct tls_name names[NAMES_MAX]; // none twice
};

enum { CODE_OUT = SUBCOMMAND_CODE_MIN, CODE_DAYS, CODE_CA_DAYS };

static const struct option options[] = {
    {"out", required_argument, NULL, CODE_OUT},
    {"days", required_argument, NULL, CODE_DAYS},
    {"ca-days", required_argument, NULL, CODE_CA_DAYS},
    {"quiet", no_argument, NULL, 'q'},
    SUBCOMMAND_HELP_OPTION,
    SUBCOMMAND_OPTIONS_END,
};

// ---- The command line

static int take_days(const struct subcommand *subcommand, const char *option, const char *value,
                     unsigned max, unsigned *days)
{
    char *end;
    unsigned long number;

    errno = 0;
    number = strtoul(value, &end, 10);
    if (*value >= '0' && *value <= '9' && *end == '\0' && errno == 0 && number >= 1 &&
        number <= max) {
        *days = (unsigned)number;
        return EXIT_OK;
    }
    fprintf(stderr, "sotto %s: %s \"%s\": expected a number of days from 1 to %u%s\n",
            subcommand->name, option, value, max,
            max == DAYS_MAX ? "; devices of Apple refuse certificates that are valid for longer"
                            : "");
    return EXIT_USAGE;
}

static int take(const struct subcommand *subcommand, void *to, int code, const char *value)
{
    struct arguments *arguments = to;

    switch (code) {
    case CODE_DAYS:
        return take_days(subcommand, "--days", value, DAYS_MAX, &arguments->days);
    case CODE_CA_DAYS:
        return take_days(subcommand, "--ca-days", value, CA_DAYS_MAX, &arguments->ca_days);
    case CODE_OUT:
        arguments->out = value;
        return EXIT_OK;
    default:
        arguments->quiet = true;
        return EXIT_OK;
    }
}

static bool has_name(const struct arguments *arguments, const struct tls_name *name)
{
    for (unsigned i = 0; i < arguments->name_count; i++)
        if (tls_name_equal(&arguments->names[i], name))
            return true;
    return false;
}

static int take_names(const struct subcommand *subcommand, struct arguments *arguments,
                      char **names)
{
    if (!*names)
        return subcommand_usage_error(
            subcommand,
            "a name is missing: write the names and addresses by which clients will know the "
            "server, such as dns.home.arpa 192.168.1.2",
            "");
    for (; *names; names++) {
        struct tls_name name;
        char reason[TLS_REASON_SIZE];

        if (tls_name_parse(&name, *names, reason) != E_OK) {
            fprintf(stderr, "sotto %s: \"%s\" %s\n", subcommand->name, *names, reason);
            return EXIT_USAGE;
        }
        if (has_name(arguments, &name))
            continue;
        if (arguments->name_count == NAMES_MAX)
            return subcommand_usage_error(subcommand, "more than 64 names: no room for ", *names);
        arguments->names[arguments->name_count++] = name;
    }
    return EXIT_OK;
}

// ---- The directory

// Made if only its last part is missing. A descriptor, or -1 after having said why.
static int open_directory(const struct subcommand *subcommand, const char *path)
{
    struct stat status;
    int dir;

    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        subcommand_failure(subcommand, "cannot make the directory %s: %s%s", path, strerror(errno),
                           errno == ENOENT ? "; make those above it first (`mkdir -p`)" : "");
        return -1;
    }
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fstat(dir, &status) != 0) {
        subcommand_failure(subcommand, "cannot open the directory %s: %s", path, strerror(errno));
    } else if (status.st_mode & S_IWOTH) {
        subcommand_failure(subcommand,
                           "everybody may write to %s, and so put an authority of their own there; "
                           "choose another directory (--out), or take it from them (`chmod o-w`)",
                           path);
    } else {
        // Two at once would mix their files. Where a file system knows no locks, we go on.
        flock(dir, LOCK_EX);
        return dir;
    }
    if (dir >= 0)
        close(dir);
    return -1;
}

static int read_file(const struct subcommand *subcommand, const struct arguments *arguments,
                     int dir, const char *name, char **text)
{
    char reason[FILE_REASON_SIZE];

    if (file_read(dir, name, text, reason) == E_OK)
        return EXIT_OK;
    return subcommand_failure(subcommand, "cannot read %s/%s: %s", arguments->out, name, reason);
}

// ---- The authority

static struct tls_authority *make_authority(const struct subcommand *subcommand,
                                            const struct arguments *arguments, time_t now)
{
    // At most 64 characters fit into a certificate; the rest of the host's name tells nobody more.
    char host[HOST_NAME_MAX + 1], name[64 + 1], reason[TLS_REASON_SIZE];
    struct tls_authority *authority;

    if (gethostname(host, sizeof(host)) != 0)
        strcpy(host, "unnamed");
    snprintf(name, sizeof(name), "sotto private CA (%.45s)", host);
    authority = tls_authority_new(name, now, arguments->ca_days, reason);
    if (!authority)
        subcommand_failure(subcommand, "cannot make the authority: %s", reason);
    return authority;
}

static struct tls_authority *load_authority(const struct subcommand *subcommand,
                                            const struct arguments *arguments,
                                            const char *certificate, const char *key, time_t now)
{
    char reason[TLS_REASON_SIZE];
    struct tls_authority *authority = tls_authority_load(certificate, key, now, reason);

    if (!authority)
        subcommand_failure(subcommand,
                           "%s/" AUTHORITY_CERTIFICATE " and " AUTHORITY_KEY ": %s; put back those "
                           "that were there, or move both away to have a new authority made, which "
                           "clients must then trust anew",
                           arguments->out, reason);
    return authority;
}

// The one that is there, or a new one, which is not written yet. NULL after having said why.
static struct tls_authority *find_authority(const struct subcommand *subcommand,
                                            const struct arguments *arguments, int dir, time_t now,
                                            bool *is_new)
{
    struct tls_authority *authority = NULL;
    char *certificate = NULL, *key = NULL;

    if (read_file(subcommand, arguments, dir, AUTHORITY_CERTIFICATE, &certificate) == EXIT_OK &&
        read_file(subcommand, arguments, dir, AUTHORITY_KEY, &key) == EXIT_OK) {
        *is_new = !certificate && !key;
        if (*is_new)
            authority = make_authority(subcommand, arguments, now);
        else if (certificate && key)
            authority = load_authority(subcommand, arguments, certificate, key, now);
        else
            subcommand_failure(subcommand,
                               "%s has %s, but not %s: put that back, to renew a certificate "
                               "without trusting anew, or move the other away to have a new "
                               "authority made, which clients must then trust",
                               arguments->out, certificate ? AUTHORITY_CERTIFICATE : AUTHORITY_KEY,
                               certificate ? AUTHORITY_KEY : AUTHORITY_CERTIFICATE);
    }
    if (key)
        explicit_bzero(key, strlen(key));
    free(key);
    free(certificate);
    return authority;
}

// ---- What is printed

static const char *date(time_t time, char text[16])
{
    struct tm parts;

    if (!gmtime_r(&time, &parts) || strftime(text, 16, "%Y-%m-%d", &parts) == 0)
        *text = '\0';
    return text;
}

static void print_made(const struct arguments *arguments, const struct tls_pair *authority,
                       const struct tls_pair *server, bool is_new)
{
    char day[16];

    printf("%s/" SERVER_CERTIFICATE "    the server's certificate, until %s, for", arguments->out,
           date(server->expires, day));
    for (unsigned i = 0; i < arguments->name_count; i++)
        printf("%s %s", i > 0 ? "," : "", arguments->names[i].text);
    printf("\n%s/" SERVER_KEY "     its key\n", arguments->out);
    printf("%s/" AUTHORITY_CERTIFICATE "      %s, until %s\n", arguments->out,
           is_new ? "a new certificate authority" : "the authority that was there",
           date(authority->expires, day));
    printf("%s/" AUTHORITY_KEY "  its key: only to run this again\n\n"
           "Whoever has " AUTHORITY_KEY
           " can pretend to be any site to those who trust " AUTHORITY_CERTIFICATE
           ".\nKeep it where nobody else reads it; sotto does not need it.\n",
           arguments->out);
    printf("\nUse them:\n"
           "  sotto -l tls://0.0.0.0:853 -l https://0.0.0.0:443/dns-query \\\n"
           "        --cert %s/" SERVER_CERTIFICATE " --key %s/" SERVER_KEY "\n",
           arguments->out, arguments->out);
    if (server->expires < authority->expires)
        printf("\nBefore %s run the same command again, and reload sotto. A new\n"
               "certificate of the same authority takes this one's place, and clients need not\n"
               "do anything.\n",
               date(server->expires, day));
    else
        puts("\nThe certificate ends with its authority. To have a later end, move both ca files\n"
             "away and run this again; clients must then trust the new authority.");
}

// What clients do once.
static void print_trust(void)
{
    puts(
        "\nClients must trust ca.pem, once (never copy ca-key.pem to them):\n"
        "  Debian, Ubuntu  cp ca.pem /usr/local/share/ca-certificates/sotto.crt\n"
        "                  update-ca-certificates\n"
        "  Fedora          cp ca.pem /etc/pki/ca-trust/source/anchors/sotto.pem\n"
        "                  update-ca-trust\n"
        "  macOS           sudo security add-trusted-cert -d -r trustRoot \\\n"
        "                      -k /Library/Keychains/System.keychain ca.pem\n"
        "  Windows         certutil -addstore Root ca.pem      (as administrator)\n"
        "  iOS, iPadOS     install what `sotto mobileconfig --ca ca.pem` prints, then Settings >\n"
        "                  General > About > Certificate Trust Settings: switch it on\n"
        "  Android         Settings > Security > Encryption & credentials > Install a certificate\n"
        "                  > CA certificate. Browsers can use it; Private DNS does not, since it\n"
        "                  trusts only the authorities that Android came with\n"
        "  Firefox         Settings > Privacy & Security > View Certificates > Authorities >\n"
        "                  Import\n"
        "  sotto           sotto -u tls://NAME --ca-file ca.pem");
}

// ---- The whole

static int write_files(const struct subcommand *subcommand, const struct arguments *arguments,
                       int dir, const struct tls_pair *authority, const struct tls_pair *server,
                       bool is_new)
{
    const struct file_new files[] = {
        {.name = SERVER_KEY, .text = server->key, .mode = 0600},
        {.name = SERVER_CERTIFICATE, .text = server->certificate, .mode = 0644},
        {.name = AUTHORITY_KEY, .text = authority->key, .mode = 0600},
        {.name = AUTHORITY_CERTIFICATE, .text = authority->certificate, .mode = 0644},
    };
    char reason[FILE_REASON_SIZE];

    // An authority that is there is never written again.
    if (files_replace(dir, files, is_new ? 4 : 2, reason) == E_OK)
        return EXIT_OK;
    return subcommand_failure(subcommand, "%s/%s; mend that, and run it again", arguments->out,
                              reason);
}

static int make(const struct subcommand *subcommand, const struct arguments *arguments, int dir)
{
    const struct tls_issue_options issue = {
        .names = arguments->names,
        .count = arguments->name_count,
        .now = time(NULL),
        .days = arguments->days,
    };
    struct tls_pair own = {.key = NULL}, server = {.key = NULL};
    char reason[TLS_REASON_SIZE];
    bool is_new = false;
    struct tls_authority *authority =
        find_authority(subcommand, arguments, dir, issue.now, &is_new);
    int code;

    if (!authority)
        return EXIT_RUNTIME;
    if (tls_authority_export(authority, &own, reason) != E_OK ||
        tls_authority_issue(authority, &issue, &server, reason) != E_OK)
        code = subcommand_failure(subcommand, "cannot make the certificate: %s", reason);
    else
        code = write_files(subcommand, arguments, dir, &own, &server, is_new);
    if (code == EXIT_OK && !arguments->quiet) {
        print_made(arguments, &own, &server, is_new);
        print_trust();
    }
    tls_pair_clear(&own);
    tls_pair_clear(&server);
    tls_authority_free(authority);
    return code;
}

static int run(const struct subcommand *subcommand, int argc, char **argv)
{
    struct arguments arguments = {
        .out = ".",
        .days = DAYS_DEFAULT,
        .ca_days = CA_DAYS_DEFAULT,
    };
    int code = subcommand_parse(subcommand, argc, argv, &arguments);
    int dir;

    if (code != SUBCOMMAND_GO_ON)
        return code;
    if ((code = take_names(subcommand, &arguments, argv + optind)) != EXIT_OK)
        return code;
    if ((dir = open_directory(subcommand, arguments.out)) < 0)
        return EXIT_RUNTIME;
    code = make(subcommand, &arguments, dir);
    close(dir);
    return code;
}

const struct subcommand subcommand_cert = {
    .name = "cert",
    .operands = "[OPTION]... NAME...",
    .summary = "make a certificate for your network",
    .help = "Usage: sotto cert [OPTION]... NAME-OR-ADDRESS...\n"
            "Makes the certificate of a server that clients know by these names and IP\n"
            "addresses, such as dns.home.arpa 192.168.1.2 fd00::2, and a private certificate\n"
            "authority for it, which clients must trust.\n\n"
            "      --out DIR              write to DIR, made if it is missing; else to the\n"
            "                             working directory\n"
            "      --days N               the certificate is valid for N days, 1 to 824; 397\n"
            "      --ca-days N            a new authority is valid for N days; 3650\n"
            "  -q, --quiet                print nothing\n"
            "  -h, --help                 print this help, and end\n\n"
            "Files: ca.pem, the authority's certificate, for clients; ca-key.pem, its key;\n"
            "cert.pem and key.pem, the server's certificate and key. The keys can be read by\n"
            "their owner only. Run it again to renew: cert.pem and key.pem are replaced\n"
            "together, and keep their owner and group; an authority that is there stays.\n"
            "A name can be *.home.arpa, which is any one label below home.arpa.\n\n"
            "Exit codes: 0; 1 after a failure; 2 if an option or a name is wrong.\n",
    .short_options = SUBCOMMAND_SHORT_OPTIONS "q",
    .options = options,
    .take = take,
    .run = run,
};
