// The configuration file key by key: what is read, and what is said when it is wrong.
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "config_text.h"

// What a text gives: a part of the canonical form.
// Of a listen entry that says something else.
#define INHERITED                                                                                  \
    "    allow: []\n    refuse: inherit\n    rate-limit: inherit\n    idle-timeout: inherit\n"     \
    "    message-timeout: inherit\n    max-connections: inherit\n    max-in-flight: inherit\n"     \
    "    handshake-timeout: inherit\n"

static const struct {
    const char *yaml, *printed;
} good[] = {
    // No file at all.
    {"", "user: nobody\n"},
    {"\n\n", "user: nobody\n"},
    {"# nothing but words\n", "user: nobody\n"},
    {"---\n", "user: nobody\n"},
    {"--- # nothing\n...\n", "user: nobody\n"},
    {"{}", "user: nobody\n"},
    {"\xef\xbb\xbfuser: dns\n", "user: dns\n"},
    {"user: dns\r\nworkers: 2\r\n", "workers: 2\nuser: dns\n"},
    {"%YAML 1.2\n---\nuser: dns\n", "user: dns\n"},

    // A section with nothing in it changes nothing.
    {"upstream:\nlog: ~\n", "upstream:\n  strategy: failover\n"},
    {"log: {}\n", "log:\n  level: info\n"},

    {"listen: [127.0.0.1:5300]", "listen:\n  - dns://127.0.0.1:5300\nclients"},
    {"listen: ['*', \"udp://[::1]:54\", 'tcp://127.0.0.1']",
     "listen:\n  - \"dns://[::]:53\"\n  - \"udp://[::1]:54\"\n  - tcp://127.0.0.1:53\nclients"},
    {"listen:\n- dns://127.0.0.1\n", "listen:\n  - dns://127.0.0.1:53\nclients"},
    {"listen: [{url: tls://127.0.0.1}]", "listen:\n  - tls://127.0.0.1:853\nclients"},
    {"listen:\n- url: tls://127.0.0.1\n  certificates: [a.pem, {cert: b.pem, key: c.pem}]\n",
     "listen:\n  - url: tls://127.0.0.1:853\n    certificates:\n      - a.pem\n      - cert: "
     "b.pem\n        key: c.pem\n    client-ca-file: \"\"\n    proxy-from: []\n    forwarded-from: "
     "[]\n" INHERITED "clients"},
    {"listen: [{url: 'http://127.0.0.1/q{?dns}', forwarded-from: [192.0.2.0/24]}]",
     "listen:\n  - url: http://127.0.0.1:80/q\n    certificates: []\n    client-ca-file: \"\"\n"
     "    proxy-from: []\n    forwarded-from:\n      - \"192.0.2.0/24\"\n" INHERITED "clients"},
    {"listen: [{url: udp://127.0.0.1, proxy-from: [192.0.2.0/24, '::ffff:10.0.0.1', private, any]},"
     " tcp://127.0.0.1]",
     "    proxy-from:\n      - \"192.0.2.0/24\"\n      - \"10.0.0.1\"\n      - private\n      - "
     "any\n    forwarded-from: []\n" INHERITED "  - tcp://127.0.0.1:53\nclients"},
    {"listen: [{url: udp://127.0.0.1, allow: [any], refuse: drop, rate-limit: 0}]",
     "forwarded-from: []\n    allow:\n      - any\n    refuse: drop\n    rate-limit: 0\n"
     "    idle-timeout: inherit\n"},
    {"listen: [{url: udp://127.0.0.1, refuse: refused, rate-limit: 1000000}]",
     "    allow: []\n    refuse: refused\n    rate-limit: 1000000\n"},
    {"listen: [{url: tcp://127.0.0.1, idle-timeout: 1h, message-timeout: 100ms, max-connections: 1,"
     " max-in-flight: 10000, handshake-timeout: 1m}]",
     "    refuse: inherit\n    rate-limit: inherit\n    idle-timeout: 1h\n    message-timeout: "
     "100ms\n    max-connections: 1\n    max-in-flight: 10000\n    handshake-timeout: 1m\nclients"},
    {"listen: [{url: tcp://127.0.0.1, allow: [], refuse: inherit, rate-limit: 'inherit', "
     "idle-timeout: inherit}]",
     "listen:\n  - tcp://127.0.0.1:53\nclients"},
    {"", "clients:\n  allow:\n    - private\n  refuse: refused\n  rate-limit: 0\n"},
    {"clients: {allow: [any]}",
     "clients:\n  allow:\n    - any\n  refuse: refused\n  rate-limit: 0\n"},
    {"clients: {allow: [private, 192.0.2.0/24, 192.0.2.7/32, 2001:db8::/32, '::1']}",
     "  allow:\n    - private\n    - \"192.0.2.0/24\"\n    - \"192.0.2.7\"\n    - "
     "\"2001:db8::/32\"\n"
     "    - \"::1\"\n  refuse"},
    {"clients: {allow: ['::ffff:192.0.2.0/120']}", "  allow:\n    - \"192.0.2.0/24\"\n  refuse"},
    {"clients: {refuse: drop}", "    - private\n  refuse: drop\n"},
    {"", "cookies:\n  enabled: true\n  secret-file: \"\"\nworkers"},
    {"cookies: {enabled: false}", "cookies:\n  enabled: false\n"},
    {"cookies: {secret-file: /etc/sotto/cookies}", "  secret-file: /etc/sotto/cookies\n"},
    {"clients: {rate-limit: 1000000, rate-limit-ipv4-prefix: 24, rate-limit-ipv6-prefix: 128}",
     "  rate-limit: 1000000\n  rate-limit-ipv4-prefix: 24\n  rate-limit-ipv6-prefix: 128\n"
     "  rate-limit-slip: 2\ncookies"},
    {"clients: {rate-limit-slip: 0}", "  rate-limit-slip: 0\n"},
    {"clients:\n", "    - private\n  refuse: refused\n"},

    {"workers: 1", "\nworkers: 1\n"},
    {"workers: 256", "\nworkers: 256\n"},
    {"workers: auto", "\nworkers: auto\n"},
    {"workers: 'auto'", "\nworkers: auto\n"},

    {"user: sotto", "\nuser: sotto\n"},
    {"user: \"65532\"", "\nuser: \"65532\"\n"},
    {"user: 'no'", "\nuser: \"no\"\n"},

    {"upstream: {strategy: failover}", "  strategy: failover\n"},
    {"upstream: {strategy: fastest}", "  strategy: fastest\n"},
    {"upstream: {strategy: balance}", "  strategy: balance\n"},
    {"upstream: {strategy: 'parallel'}", "  strategy: parallel\n"},
    {"upstream: {timeout: 100ms}", "  timeout: 100ms\n"},
    {"upstream: {timeout: 60s}", "  timeout: 1m\n"},
    {"upstream: {timeout: 1500ms}", "  timeout: 1500ms\n"},
    {"upstream: {timeout: \"2s\"}", "  timeout: 2s\n"},

    {"upstream: {servers: [quad9]}",
     "  servers:\n    - url: quad9\n      ca-file: \"\"\n      pin-sha256: []\n"
     "      profile: strict\n      max-connections: 8\n      idle-timeout: 1m\n  bootstrap:\n"},
    {"upstream: {servers: [{url: quad9}]}", "  servers:\n    - url: quad9\n      ca-file: \"\"\n"},
    {"upstream:\n  servers:\n    - 1.1.1.1\n    - url: tls://9.9.9.9#dns.quad9.net\n",
     "    - url: \"1.1.1.1\"\n      ca-file: \"\"\n"},
    {"upstream: {servers: ['tls://9.9.9.9#dns.quad9.net', '[::1]:8853#a.b']}",
     "    - url: \"[::1]:8853#a.b\"\n"},
    {"upstream:\n  servers:\n    - url: tls://9.9.9.9#dns.quad9.net # a comment\n",
     "    - url: tls://9.9.9.9#dns.quad9.net\n"},
    {"upstream: {servers: [{url: quad9, ca-file: certs/ca.pem}]}", "      ca-file: certs/ca.pem\n"},
    {"upstream: {servers: [{url: quad9, ca-file: '/a b/\"c\"\\d'}]}",
     "      ca-file: \"/a b/\\\"c\\\"\\\\d\"\n"},
    {"upstream: {servers: [{url: quad9, ca-file: b\xc3\xbc"
     "cher}]}",
     "      ca-file: \"b\xc3\xbc"
     "cher\"\n"},
    {"upstream: {servers: [{ca-file: '', url: quad9}]}", "      ca-file: \"\"\n"},
    {"upstream: {servers: [{url: quad9, pin-sha256: []}]}", "      pin-sha256: []\n"},
    {"upstream: {servers: [{url: quad9, pin-sha256: "
     "[AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=]}]}",
     "      pin-sha256:\n        - \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n"},
    {"upstream: {servers: [{url: quad9, pin-sha256: "
     "['//////////////////////////////////////////8=', "
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=]}]}",
     "8=\"\n        - \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n"},
    {"upstream: {servers: [{url: quad9, profile: opportunistic}]}",
     "      profile: opportunistic\n"},
    {"upstream: {servers: [{url: quad9, max-connections: 64}]}", "      max-connections: 64\n"},
    {"upstream: {servers: [{url: quad9, idle-timeout: 10ms}]}", "      idle-timeout: 10ms\n"},
    {"upstream: {servers: [{url: quad9, idle-timeout: 1h}]}", "      idle-timeout: 1h\n"},
    {"upstream: {bootstrap: [quad9, 1.1.1.1]}",
     "  bootstrap:\n    - url: quad9\n      ca-file: \"\"\n"},
    {"upstream: {bootstrap: [{url: 127.0.0.1#a.b, ca-file: ca.pem}]}",
     "  bootstrap:\n    - url: \"127.0.0.1#a.b\"\n      ca-file: ca.pem\n"},
    {"upstream: {bootstrap: []}", "  bootstrap: []\n"},

    {"padding: auto", "\npadding: auto\n"},
    {"padding: off", "\npadding: \"off\"\n"}, // YAML 1.1 would read a boolean
    {"padding: \"off\"", "\npadding: \"off\"\n"},
    {"padding: mirror", "\npadding: mirror\n"},
    {"private-reverse: local", "\nprivate-reverse: local\n"},
    {"private-reverse: forward", "\nprivate-reverse: forward\n"},

    {"log: {level: error}", "  level: error\n"},
    {"log: {level: warning}", "  level: warning\n"},
    {"log: {level: info}", "  level: info\n"},
    {"log: {level: debug}", "  level: debug\n"},
    {"log: {format: text}", "  format: text\n"},
    {"log: {format: json}", "  format: json\n"},

    {"tcp: {idle-timeout: 100ms}", "tcp:\n  idle-timeout: 100ms\n"},
    {"tcp: {idle-timeout: 3600s}", "tcp:\n  idle-timeout: 1h\n"},
    {"tcp: {message-timeout: 100ms}", "  message-timeout: 100ms\n"},
    {"tcp: {message-timeout: 60m}", "  message-timeout: 1h\n"},
    {"tcp: {max-connections: 1}", "  max-connections: 1\n"},
    {"tcp: {max-connections: 1000000}", "  max-connections: 1000000\n"},
    {"control: {socket: none}", "control:\n  socket: none\n  group: \"\"\n"},
    {"control: {socket: /run/sotto.sock, group: adm}", "  socket: /run/sotto.sock\n  group: adm\n"},
    {"control: {group: ''}", "  socket: auto\n  group: \"\"\n"},
    {"tcp: {max-in-flight: 1}", "  max-in-flight: 1\n"},
    {"tcp: {max-in-flight: 10000}", "  max-in-flight: 10000\n"},
    {"udp: {max-size: 512}", "  max-size: 512\n"},
    {"udp: {max-size: 4096}", "  max-size: 4096\n"},
    {"max-in-flight: 1", "\nmax-in-flight: 1\n"},
    {"max-in-flight: 1000000", "\nmax-in-flight: 1000000\n"},

    {"identity: {version: ''}", "  version: \"\"\n"},
    {"identity: {version: none of your business}", "  version: \"none of your business\"\n"},
    {"identity: {version: sotto}", "  version: sotto\n"},
    {"identity: {id: fra1}", "  id: fra1\n"},
    {"identity: {id: '12'}", "  id: \"12\"\n"},
    {"identity: {id: '1.5'}", "  id: \"1.5\"\n"},
    {"identity: {id: 'null'}", "  id: \"null\"\n"},
    {"identity: {id: \"a: b # c\"}", "  id: \"a: b # c\"\n"},
    {"identity:\n  id: >-\n    folded\n    text\n", "  id: \"folded text\"\n"},
    {"identity: {id: \"\\u00a0\\U0010ffff\"}", "  id: \"\xc2\xa0\xf4\x8f\xbf\xbf\"\n"},
    {"identity: {id: \xf0\x9f\x94\x92}", "  id: \"\xf0\x9f\x94\x92\"\n"},
    {"? user\n: dns\n", "\nuser: dns\n"},
    {"'user': dns\n", "\nuser: dns\n"},
};

static void test_every_key_is_read(void **state)
{
    static struct config config;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct config_error error;
        char *text;

        if (config_load(&config, good[i].yaml, &error) != E_OK)
            fail_msg("%s\n%s", good[i].yaml, error.text);
        text = config_text(&config);
        if (!strstr(text, good[i].printed))
            fail_msg("%s\ngives\n%s", good[i].yaml, text);
        free(text);
        assert_fixed_point(&config);
    }
}

// What is wrong, to the letter. A file of one line unless the error says otherwise.
#define KNOWN_KEYS                                                                                 \
    "known keys: listen, clients, cookies, workers, user, upstream, cache, padding, "              \
    "private-reverse, log, query-log, "                                                            \
    "control, tcp, udp, tls, max-in-flight, identity"
#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define CONTROL_SOCKET "auto, none, or an absolute path"
#define KEYS_OF_SERVER                                                                             \
    "known keys: url, ca-file, pin-sha256, profile, max-connections, idle-timeout"
#define UPSTREAM "an upstream such as tls://1.1.1.1#cloudflare-dns.com or a preset such as quad9"
#define PREFIX "private, any, or a prefix such as 192.168.0.0/16 or fd00::/8"
#define LISTENER "a listen address such as dns://127.0.0.1:53"
#define PIN "a SHA-256 digest in base64: 43 characters and ="

static const struct {
    const char *yaml, *error;
} bad[] = {
    // The control socket.
    {"control: {socket: control.sock}",
     "a.yaml:1:19: control.socket: found \"control.sock\", expected " CONTROL_SOCKET},
    {"control: {socket: ''}", "a.yaml:1:19: control.socket: found \"\", expected " CONTROL_SOCKET},
    {"control: {socket: /" A50 A50 "1234567}",
     "a.yaml:1:19: control.socket: \"/" A50
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…\": too long: the "
     "path of a socket has at most 107 octets"},
    {"control: {group: 1}",
     "a.yaml:1:18: control.group: found the number 1, expected text of 0 to 63 "
     "octets; write it in quotes"},
    // Keys.
    {"frob: 1", "a.yaml:1:1: unknown key \"frob\"; " KNOWN_KEYS},
    {"lsiten: []", "a.yaml:1:1: unknown key \"lsiten\"; did you mean \"listen\"?"},
    {"a: {b: [c, {d: e}]}", "a.yaml:1:1: unknown key \"a\"; " KNOWN_KEYS},
    {"Log: {}", "a.yaml:1:1: unknown key \"Log\"; did you mean \"log\"?"},
    {"'': 1", "a.yaml:1:1: unknown key \"\"; " KNOWN_KEYS},
    {"1: 1", "a.yaml:1:1: unknown key \"1\"; " KNOWN_KEYS},
    {"<<: {user: dns}", "a.yaml:1:1: unknown key \"<<\"; " KNOWN_KEYS},
    {"private_reverse: local",
     "a.yaml:1:1: unknown key \"private_reverse\"; did you mean \"private-reverse\"?"},
    {"# one\n\nuser: dns\nupstream:\n  timeout: 5s\n  servers: [quad9]\n    \n  stratgy: fastest\n",
     "a.yaml:8:3: unknown key \"stratgy\" in upstream; did you mean \"strategy\"?"},
    {"upstream: {wrong: 1}", "a.yaml:1:12: unknown key \"wrong\" in upstream; known keys: "
                             "strategy, timeout, servers, bootstrap"},
    {"upstream:\n  servers:\n    - url: quad9\n      port: 853\n",
     "a.yaml:4:7: unknown key \"port\" in upstream.servers; " KEYS_OF_SERVER},
    {"upstream:\n  servers:\n    - url: quad9\n      cafile: ca.pem\n",
     "a.yaml:4:7: unknown key \"cafile\" in upstream.servers; did you mean \"ca-file\"?"},
    {"upstream: {bootstrap: [{url: quad9, tls: 1}]}",
     "a.yaml:1:37: unknown key \"tls\" in upstream.bootstrap; " KEYS_OF_SERVER},
    {"log: {levle: info}", "a.yaml:1:7: unknown key \"levle\" in log; did you mean \"level\"?"},
    {"tcp: {idle-time-out: 5s}",
     "a.yaml:1:7: unknown key \"idle-time-out\" in tcp; did you mean \"idle-timeout\"?"},
    {"udp: {size: 512}", "a.yaml:1:7: unknown key \"size\" in udp; known keys: max-size"},
    {"identity: {name: a}", "a.yaml:1:12: unknown key \"name\" in identity; "
                            "known keys: version, id"},
    {"[a, b]: 1", "a.yaml:1:1: found a list as a key, expected a word"},
    {"? {a: b}\n: 1", "a.yaml:1:3: found keys and values as a key, expected a word"},
    {"user: a\nworkers: 1\nuser: b\n", "a.yaml:3:1: duplicate key \"user\", first on line 1"},
    {"log:\n  level: info\n  \"level\": info\n",
     "a.yaml:3:3: duplicate key \"level\" in log, first on line 2"},
    {"upstream:\n  servers:\n    - url: quad9\n      url: quad9\n",
     "a.yaml:4:7: duplicate key \"url\" in upstream.servers, first on line 3"},

    // What is not of the right kind.
    {"just words", "a.yaml:1:1: the file: found \"just words\", expected keys and values"},
    {"- listen", "a.yaml:1:1: the file: found a list, expected keys and values"},
    {"12", "a.yaml:1:1: the file: found the number 12, expected keys and values"},
    {"log: info", "a.yaml:1:6: log: found \"info\", expected keys and values"},
    {"log: [info]", "a.yaml:1:6: log: found a list, expected keys and values"},
    {"log: ''", "a.yaml:1:6: log: found \"\", expected keys and values"},
    {"listen: 127.0.0.1",
     "a.yaml:1:9: listen: found \"127.0.0.1\", expected a list of 1 to 512 entries"},
    {"listen: []", "a.yaml:1:9: listen: found an empty list, expected a list of 1 to 512 entries"},
    {"listen:", "a.yaml:1:8: listen: found nothing, expected a list of 1 to 512 entries"},
    {"listen: {a: b}",
     "a.yaml:1:9: listen: found keys and values, expected a list of 1 to 512 entries"},
    {"clients: {allow: []}",
     "a.yaml:1:18: clients.allow: found an empty list, expected a list of 1 to 256 entries"},
    {"clients: {allow: any}",
     "a.yaml:1:18: clients.allow: found \"any\", expected a list of 1 to 256 entries"},
    {"clients: {allow: [lan]}", "a.yaml:1:19: clients.allow: found \"lan\", expected " PREFIX},
    {"clients: {allow: [10]}", "a.yaml:1:19: clients.allow: found the number 10, expected " PREFIX},
    {"clients: {allow: [192.0.2.1/24]}",
     "a.yaml:1:19: clients.allow: \"192.0.2.1/24\": bits are set behind the prefix: write "
     "192.168.1.0/24 for the network, or 192.168.1.5 for one address in it"},
    {"clients: {allow: [192.0.2.0/33]}",
     "a.yaml:1:19: clients.allow: \"192.0.2.0/33\": a prefix has a length of up to 32 bits, or 128 "
     "with IPv6, as in 192.168.0.0/16"},
    {"cookies: {enabled: maybe}",
     "a.yaml:1:20: cookies.enabled: found \"maybe\", expected true or false"},
    {"cookies: {secret: a}",
     "a.yaml:1:11: unknown key \"secret\" in cookies; known keys: enabled, secret-file"},
    {"clients: {refuse: ignore}",
     "a.yaml:1:19: clients.refuse: found \"ignore\", expected refused or drop"},
    {"clients: {deny: []}",
     "a.yaml:1:11: unknown key \"deny\" in clients; known keys: allow, refuse, rate-limit, "
     "rate-limit-ipv4-prefix, rate-limit-ipv6-prefix, rate-limit-slip"},
    {"listen: [53]", "a.yaml:1:10: listen: found the number 53, expected " LISTENER},
    {"listen: [[]]",
     "a.yaml:1:10: listen: found an empty list, expected " LISTENER ", or keys and values"},
    {"listen: [~]", "a.yaml:1:10: listen: found nothing, expected " LISTENER},
    {"listen:\n  - 127.0.0.1\n  - dot://127.0.0.1\n",
     "a.yaml:3:5: listen: \"dot://127.0.0.1\": unknown scheme; write dns:// (UDP and TCP), udp://, "
     "tcp://, tls://, https:// or http://"},

    {"listen: [{url: '::1', allow: any}]",
     "a.yaml:1:30: listen.allow: found \"any\", expected a list of 0 to 64 entries"},
    {"listen: [{url: '::1', refuse: dorp}]",
     "a.yaml:1:31: listen.refuse: found \"dorp\", expected inherit, refused or drop; did you mean "
     "\"drop\"?"},
    {"listen: [{url: '::1', rate-limit: 1000001}]",
     "a.yaml:1:35: listen.rate-limit: found the number 1000001, expected a number from 0 to "
     "1000000, or inherit"},
    {"listen: [{url: '::1', idle-timeout: 99ms}]",
     "a.yaml:1:37: listen.idle-timeout: found \"99ms\", expected a duration from 100ms to 1h, or "
     "inherit"},
    {"listen: [{url: '::1', message-timeout: 0s}]",
     "a.yaml:1:40: listen.message-timeout: found \"0s\", expected a duration from 100ms to 1h, or "
     "inherit"},
    {"listen: [{url: '::1', max-connections: 0}]",
     "a.yaml:1:40: listen.max-connections: found the number 0, expected a number from 1 to "
     "1000000, or inherit"},
    {"listen: [{url: '::1', max-in-flight: 10001}]",
     "a.yaml:1:38: listen.max-in-flight: found the number 10001, expected a number from 1 to "
     "10000, or inherit"},
    {"listen: [{url: '::1', handshake-timeout: 2m}]",
     "a.yaml:1:42: listen.handshake-timeout: found \"2m\", expected a duration from 100ms to 1m, "
     "or "
     "inherit"},
    {"tcp: {idle-timeout: inherit}", "a.yaml:1:21: tcp.idle-timeout: found \"inherit\", expected "
                                     "a duration from 100ms to 1h"},

    {"workers: 0", "a.yaml:1:10: workers: found the number 0, expected a number from 1 to 256, or "
                   "auto"},
    {"workers: 257", "a.yaml:1:10: workers: found the number 257, expected a number from 1 to 256, "
                     "or auto"},
    {"workers: -1", "a.yaml:1:10: workers: found the number -1, expected a number from 1 to 256, "
                    "or auto"},
    {"workers: 1.5", "a.yaml:1:10: workers: found the number 1.5, expected a number from 1 to 256, "
                     "or auto"},
    {"workers: 0x10", "a.yaml:1:10: workers: found the number 0x10, expected a number from 1 to "
                      "256, or auto"},
    {"workers: 010", "a.yaml:1:10: workers: found the number 010, expected a number from 1 to 256, "
                     "or auto"},
    {"workers: 4KiB", "a.yaml:1:10: workers: found \"4KiB\", expected a number from 1 to 256, or "
                      "auto"},
    {"workers: '4'", "a.yaml:1:10: workers: found \"4\", expected a number from 1 to 256, or auto, "
                     "without quotes"},
    {"workers: true", "a.yaml:1:10: workers: found \"true\", expected a number from 1 to 256, or "
                      "auto"},
    {"workers:", "a.yaml:1:9: workers: found nothing, expected a number from 1 to 256, or auto"},
    {"workers: 99999999999999999999999999999999999999999999999999",
     "a.yaml:1:10: workers: found the number 9999999999999999999999999999999999999999, expected a "
     "number from 1 to 256, or auto"},

    {"user: ''", "a.yaml:1:7: user: found \"\", expected text of 1 to 63 octets"},
    {"user: 65532", "a.yaml:1:7: user: found the number 65532, expected text of 1 to 63 octets; "
                    "write it in quotes"},
    {"user: yes\nworkers: x", "a.yaml:2:10: workers: found \"x\", expected a number from 1 to 256, "
                              "or auto"},
    {"user: true", "a.yaml:1:7: user: found \"true\", expected text of 1 to 63 octets; write it in "
                   "quotes"},
    {"user: .inf", "a.yaml:1:7: user: found the number .inf, expected text of 1 to 63 octets; "
                   "write it in quotes"},
    {"user: -1e3", "a.yaml:1:7: user: found the number -1e3, expected text of 1 to 63 octets; "
                   "write it in quotes"},
    {"user: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "a.yaml:1:7: user: found "
     "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", expected text of 1 to "
     "63 octets"},
    {"user: \"a\\nb\"", "a.yaml:1:7: user: \"a\\x0ab\": control characters and broken UTF-8 are "
                        "not allowed"},
    {"user: \"a\\x7f\"", "a.yaml:1:7: user: \"a\\x7f\": control characters and broken UTF-8 are "
                         "not allowed"},
    {"user: \"a\\0b\"", "a.yaml:1:7: a NUL character"},
    {"user: \"a\\u0085\"",
     "a.yaml:1:7: user: \"a\\xc2\\x85\": control characters and broken UTF-8 are not allowed"},
    {"user: \"a\\u008e\"",
     "a.yaml:1:7: user: \"a\\xc2\\x8e\": control characters and broken UTF-8 are not allowed"},
    {"user: \"a\\u2028\"",
     "a.yaml:1:7: user: \"a\\xe2\\x80\\xa8\": control characters and broken UTF-8 are not allowed"},
    {"user: \"a\\ufeff\"",
     "a.yaml:1:7: user: \"a\\xef\\xbb\\xbf\": control characters and broken UTF-8 are not allowed"},
    {"user: \"a\\uffff\"",
     "a.yaml:1:7: user: \"a\\xef\\xbf\\xbf\": control characters and broken UTF-8 are not allowed"},
    {"user: |\n  a\n", "a.yaml:1:7: user: \"a\\x0a\": control characters and broken UTF-8 are not "
                       "allowed"},

    {"upstream: {strategy: fastst}",
     "a.yaml:1:22: upstream.strategy: found \"fastst\", expected failover, fastest, balance or "
     "parallel; did you mean \"fastest\"?"},
    {"upstream: {strategy: random}",
     "a.yaml:1:22: upstream.strategy: found \"random\", expected failover, fastest, balance or "
     "parallel"},
    {"upstream: {strategy: [failover]}",
     "a.yaml:1:22: upstream.strategy: found a list, expected failover, fastest, balance or "
     "parallel"},
    {"upstream: {strategy: 1}", "a.yaml:1:22: upstream.strategy: found the number 1, expected "
                                "failover, fastest, balance or parallel"},
    {"upstream: {timeout: 99ms}", "a.yaml:1:21: upstream.timeout: found \"99ms\", expected a "
                                  "duration from 100ms to 1m"},
    {"upstream: {timeout: 61s}", "a.yaml:1:21: upstream.timeout: found \"61s\", expected a "
                                 "duration from 100ms to 1m"},
    {"upstream: {timeout: 5}", "a.yaml:1:21: upstream.timeout: found the number 5, expected a "
                               "duration from 100ms to 1m"},
    {"upstream: {timeout: '5'}", "a.yaml:1:21: upstream.timeout: found \"5\", expected a duration "
                                 "from 100ms to 1m"},
    {"upstream: {timeout: 5 s}", "a.yaml:1:21: upstream.timeout: found \"5 s\", expected a "
                                 "duration from 100ms to 1m"},
    {"upstream: {timeout: 99999999999999999999999d}",
     "a.yaml:1:21: upstream.timeout: found \"99999999999999999999999d\", expected a duration from "
     "100ms to 1m"},
    {"upstream: {servers: []}", "a.yaml:1:21: upstream.servers: found an empty list, expected a "
                                "list of 1 to 32 entries"},
    {"upstream: {servers: quad9}", "a.yaml:1:21: upstream.servers: found \"quad9\", expected a "
                                   "list of 1 to 32 entries"},
    {"upstream: {servers: [~]}",
     "a.yaml:1:22: upstream.servers: found nothing, expected " UPSTREAM},
    {"upstream: {servers: [[quad9]]}",
     "a.yaml:1:22: upstream.servers: found a list, expected " UPSTREAM ", or keys and values"},
    {"upstream: {servers: [{}]}", "a.yaml:1:22: upstream.servers: no \"url\" in this server"},
    {"upstream: {servers: [{profile: strict}]}",
     "a.yaml:1:22: upstream.servers: no \"url\" in this server"},
    {"upstream: {servers: [{url: }]}",
     "a.yaml:1:28: upstream.servers.url: found nothing, expected " UPSTREAM},
    {"upstream: {servers: [{url: [quad9]}]}",
     "a.yaml:1:28: upstream.servers.url: found a list, expected " UPSTREAM},
    {"upstream: {servers: [{url: 1.1}]}",
     "a.yaml:1:28: upstream.servers.url: found the number 1.1, expected " UPSTREAM},
    {"upstream: {servers: ['']}",
     "a.yaml:1:22: upstream.servers: \"\": empty; write tls://ADDRESS#NAME or a preset such as "
     "quad9"},
    {"upstream: {servers: ['udp://1.1.1.1']}",
     "a.yaml:1:22: upstream.servers: \"udp://1.1.1.1\": plain DNS is never sent upstream; write "
     "tls://"},
    {"upstream: {servers: [{url: 'tls://1.1.1.1:0'}]}",
     "a.yaml:1:28: upstream.servers.url: \"tls://1.1.1.1:0\": the port is no number from 1 to "
     "65535"},
    {"upstream: {servers: [{url: quad9, ca-file: 1}]}",
     "a.yaml:1:44: upstream.servers.ca-file: found the number 1, expected text of 0 to 1023 "
     "octets; write it in quotes"},
    {"upstream: {servers: [{url: quad9, ca-file: }]}",
     "a.yaml:1:44: upstream.servers.ca-file: found nothing, expected text of 0 to 1023 octets"},
    {"upstream: {servers: [{url: quad9, pin-sha256: abc}]}",
     "a.yaml:1:47: upstream.servers.pin-sha256: found \"abc\", expected a list of 0 to 8 entries"},
    {"upstream: {servers: [{url: quad9, pin-sha256: [abc]}]}",
     "a.yaml:1:48: upstream.servers.pin-sha256: found \"abc\", expected " PIN},
    {"upstream: {servers: [{url: quad9, pin-sha256: "
     "[AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA]}]}", // 33 octets
     "a.yaml:1:48: upstream.servers.pin-sha256: found "
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", expected " PIN},
    {"upstream: {servers: [{url: quad9, pin-sha256: "
     "[AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=]}]}", // bits beyond the last octet
     "a.yaml:1:48: upstream.servers.pin-sha256: found "
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\", expected " PIN},
    {"upstream: {servers: [{url: quad9, pin-sha256: "
     "[AAAAAAAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAAAAAAA=]}]}", // base64url
     "a.yaml:1:48: upstream.servers.pin-sha256: found "
     "\"AAAAAAAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAAAAAAA=\", expected " PIN},
    {"upstream: {servers: [{url: quad9, pin-sha256: [a, b, c, d, e, f, g, h, i]}]}",
     "a.yaml:1:48: upstream.servers.pin-sha256: found \"a\", expected " PIN},
    {"upstream: {servers: [{url: quad9, profile: none}]}",
     "a.yaml:1:44: upstream.servers.profile: found \"none\", expected strict or opportunistic"},
    {"upstream: {servers: [{url: quad9, max-connections: 0}]}",
     "a.yaml:1:52: upstream.servers.max-connections: found the number 0, expected a number from 1 "
     "to 64"},
    {"upstream: {servers: [{url: quad9, max-connections: 65}]}",
     "a.yaml:1:52: upstream.servers.max-connections: found the number 65, expected a number from "
     "1 to 64"},
    {"upstream: {servers: [{url: quad9, max-connections: auto}]}",
     "a.yaml:1:52: upstream.servers.max-connections: found \"auto\", expected a number from 1 to "
     "64"},
    {"upstream: {servers: [{url: quad9, idle-timeout: 9ms}]}",
     "a.yaml:1:49: upstream.servers.idle-timeout: found \"9ms\", expected a duration from 10ms to "
     "1h"},
    {"upstream: {servers: [{url: quad9, idle-timeout: 2h}]}",
     "a.yaml:1:49: upstream.servers.idle-timeout: found \"2h\", expected a duration from 10ms to "
     "1h"},
    {"upstream: {bootstrap: quad9}", "a.yaml:1:23: upstream.bootstrap: found \"quad9\", expected a "
                                     "list of 0 to 8 entries"},
    {"upstream:\n  bootstrap:\n    [quad9, quad9, quad9, quad9, quad9, quad9, quad9, quad9,\n"
     "     google]\n",
     "a.yaml:4:6: upstream.bootstrap: too many entries, expected at most 8"},

    {"padding: on", "a.yaml:1:10: padding: found \"on\", expected auto, always, off or mirror"},
    {"padding: false",
     "a.yaml:1:10: padding: found \"false\", expected auto, always, off or mirror"},
    {"padding: miror",
     "a.yaml:1:10: padding: found \"miror\", expected auto, always, off or mirror; did "
     "you mean \"mirror\"?"},
    {"private-reverse: loca", "a.yaml:1:18: private-reverse: found \"loca\", expected local or "
                              "forward; did you mean \"local\"?"},
    {"log: {level: warn}", "a.yaml:1:14: log.level: found \"warn\", expected error, warning, info "
                           "or debug"},
    {"log: {level: DEBUG}", "a.yaml:1:14: log.level: found \"DEBUG\", expected error, warning, "
                            "info or debug"},
    {"log: {format: jsno}",
     "a.yaml:1:15: log.format: found \"jsno\", expected text or json; did you mean \"json\"?"},
    {"tcp: {idle-timeout: 99ms}", "a.yaml:1:21: tcp.idle-timeout: found \"99ms\", expected a "
                                  "duration from 100ms to 1h"},
    {"tcp: {message-timeout: 61m}", "a.yaml:1:24: tcp.message-timeout: found \"61m\", expected a "
                                    "duration from 100ms to 1h"},
    {"tcp: {max-connections: 1000001}", "a.yaml:1:24: tcp.max-connections: found the number "
                                        "1000001, expected a number from 1 to 1000000"},
    {"tcp: {max-in-flight: 10001}", "a.yaml:1:22: tcp.max-in-flight: found the number 10001, "
                                    "expected a number from 1 to 10000"},
    {"udp: {max-size: 511}", "a.yaml:1:17: udp.max-size: found the number 511, expected a number "
                             "from 512 to 4096"},
    {"udp: {max-size: 4KiB}", "a.yaml:1:17: udp.max-size: found \"4KiB\", expected a number from "
                              "512 to 4096"},
    {"max-in-flight: 4294967297", "a.yaml:1:16: max-in-flight: found the number 4294967297, "
                                  "expected a number from 1 to 1000000"},
    {"identity: {id: 7}", "a.yaml:1:16: identity.id: found the number 7, expected text of 0 to 255 "
                          "octets; write it in quotes"},
    {"identity: {version: ~}", "a.yaml:1:21: identity.version: found nothing, expected text of 0 "
                               "to 255 octets"},

    // What YAML itself does not allow, or we do not.
    {"log:\n\tlevel: info\n", "a.yaml:2:1: found character that cannot start any token, while "
                              "scanning for the next token; indent with spaces, not with tabs"},
    {"log: {level: info\nuser: a\n", "a.yaml:2:5: did not find expected ',' or '}', while parsing "
                                     "a flow mapping"},
    {"user: 'a\n", "a.yaml:2:1: found unexpected end of stream, while scanning a quoted scalar"},
    {"user: a: b\n", "a.yaml:1:8: mapping values are not allowed in this context"},
    {"user a\nworkers: 1\n", "a.yaml:2:8: mapping values are not allowed in this context"},
    {"log:\n  level: info\n format: text\n",
     "a.yaml:3:2: did not find expected key, while parsing a block mapping"},
    {"user: %a\n", "a.yaml:1:7: found character that cannot start any token, while scanning for "
                   "the next token"},
    {"user: \"\\q\"", "a.yaml:1:8: found unknown escape character, while parsing a quoted scalar"},
    {"%YAML 3.0\n---\nuser: a\n", "a.yaml:1:1: found incompatible YAML document"},
    {"user: a\n---\nuser: b\n", "a.yaml:2:1: a second document starts here; a configuration is "
                                "one"},
    {"---\n---\n", "a.yaml:2:1: a second document starts here; a configuration is one"},
    {"user: &u nobody\n", "a.yaml:1:7: anchors (&name) are not supported"},
    {"log: &l {}\n", "a.yaml:1:6: anchors (&name) are not supported"},
    {"listen: &l []\n", "a.yaml:1:9: anchors (&name) are not supported"},
    {"user: *u\n", "a.yaml:1:7: aliases (*name) are not supported; write the value again"},
    {"user: !!str a\n", "a.yaml:1:7: tags (!name) are not supported"},
    {"log: !l {}\n", "a.yaml:1:6: tags (!name) are not supported"},
    {"listen: !l []\n", "a.yaml:1:9: tags (!name) are not supported"},
    {"listen: [[[[[[[[[[[[[]]]]]]]]]]]]]\n", "a.yaml:1:20: nested too deeply"},
    {"user: b\xc3\n", "a.yaml:1:9: invalid trailing UTF-8 octet"},
    {"user: a\n# b\xc3\xbc"
     "cher\nlog: {level: \xff}\n",
     "a.yaml:3:14: invalid leading UTF-8 "
     "octet"},
    {"user: \xc0\x80\n", "a.yaml:1:7: invalid length of a UTF-8 sequence"},
    {"user: \xed\xa0\x80\n", "a.yaml:1:7: invalid Unicode character"},
    {"user: a\x01\n", "a.yaml:1:8: control characters are not allowed"},
    {"user: a\x1b[31m\n", "a.yaml:1:8: control characters are not allowed"},
};

static void test_what_is_wrong_is_said_with_its_place(void **state)
{
    static struct config config;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct config_error error;

        if (config_load(&config, bad[i].yaml, &error) != E_INVALID)
            fail_msg("accepted: %s", bad[i].yaml);
        if (strcmp(error.text, bad[i].error) != 0)
            fail_msg("%s\nsays\n%s\ninstead of\n%s", bad[i].yaml, error.text, bad[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_is_read),
        cmocka_unit_test(test_what_is_wrong_is_said_with_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
