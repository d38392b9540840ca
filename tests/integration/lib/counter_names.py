"""What the tests call an event, and the counters of the program that count it, added up.

The only place that knows the program's counter names (src/metrics/counters.h).
"""

COUNTERS = {
    # queries
    "UDP queries": ["queries_udp"],
    "TCP queries": ["queries_tcp"],
    "ignored queries": ["queries_ignored"],
    "queries not allowed": ["queries_not_allowed"],
    "queries over the limit": ["queries_limited_dropped", "queries_limited_slipped"],
    "limited and dropped": ["queries_limited_dropped"],
    "limited and told": ["queries_limited_slipped"],
    "valid cookies": ["cookies_valid"],
    "bad cookies": ["cookies_bad"],
    "malformed queries": ["queries_malformed"],
    "queries not implemented": ["queries_not_implemented"],
    "refused queries": ["queries_refused"],
    "bad EDNS versions": ["queries_badvers"],
    "local answers": ["queries_local"],
    "overload": ["queries_overload"],
    "forwarded queries": ["queries_forwarded"],
    "refused sources": ["udp_source_refused"],
    "send errors": ["udp_send_errors"],
    "joined queries": ["queries_joined"],
    "failed queries": ["queries_failed"],
    # the cache
    "cache hits": ["cache_hits"],
    "cache misses": ["cache_misses"],
    "stale answers": ["cache_stale"],
    "prefetches": ["cache_prefetches"],
    "answers kept": ["cache_inserts"],
    "evictions": ["cache_evictions"],
    "answers expired": ["cache_expired"],
    "negative answers not kept": ["cache_negative_limited"],
    # replies
    "truncated replies": ["replies_truncated"],
    # connections of clients
    "connections accepted": ["tcp_accepted"],
    "idle clients": ["tcp_closed_idle"],
    "evicted clients": ["tcp_closed_evicted"],
    "slow clients": ["tcp_closed_slow"],
    "invalid clients": ["tcp_closed_invalid"],
    "refused clients": ["tcp_refused"],
    "accept pauses": ["tcp_accept_paused"],
    # connections to upstreams
    "connections opened": ["upstream_connections_opened"],
    "connections resumed": ["upstream_connections_resumed"],
    "connection failures": ["upstream_connections_failed"],
    "verification failures": ["upstream_connections_verify_failed"],
    "broken connections": ["upstream_connections_broken"],
    "stalled connections": ["upstream_connections_stalled"],
    "invalid connections": ["upstream_connections_closed_invalid"],
    "idle closes": ["upstream_connections_idle"],
    "upstream down": ["upstream_down"],
    "upstream up": ["upstream_up"],
    # queries and replies on them
    "upstream queries": ["upstream_queries"],
    "retries": ["upstream_retries"],
    "timeouts": ["upstream_timeouts"],
    "unasked replies": ["upstream_replies_unmatched"],
    "late replies": ["upstream_replies_late"],
    "failure replies": ["upstream_replies_failed"],
    "malformed replies": ["upstream_replies_malformed"],
    "false replies": [
        "upstream_replies_unmatched",
        "upstream_replies_mismatched",
        "upstream_replies_malformed",
    ],
    "bootstrap lookups": ["bootstrap_lookups"],
}
