"""The harness of the integration tests.

ports           ports chosen by the kernel and kept
scheduler       actions after a delay
timing          how long to wait, scaled for slow builds
dns_wire        DNS messages as bytes, and the answer that belongs to every name
certs           certificate authorities and certificates of every kind, pins
packet_filter   real packet loss and black holes on one socket
net_namespace   a private network that can be unreachable and come back
chromium        a real browser, headless, with its policies; and a page for it
faulty_dot      a scriptable DNS-over-TLS server that can do everything wrong
tls_records     hand-made TLS records (key update, empty, oversized, alerts)
slow_link       a TCP relay with round-trip time, limited bandwidth and freezes
peers           real servers: unbound, dnsdist, kresd
clients         how the tests ask: UDP, TCP, pipelined, dig, kdig, bystanders
http_clients    DNS over HTTPS by HTTP/2 and HTTP/1.1, or any frames and octets
sotto_process   the program under test
transports      the same raw messages over UDP and TCP
spoofed_udp     datagrams from any source
limits          resource limits of a program, also while it runs
preload         libraries under a program: memory that runs out, clocks that jump
run_once        programs that run to their end
unprivileged    running as nobody
counter_names   what the tests call an event, and the counter that must count it
"""
