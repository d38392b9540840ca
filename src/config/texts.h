// The values with a form of their own: how they are read and written.
#pragma once

#include "config/schema.h"

extern const struct schema_text text_querylog_url; // a char[QUERYLOG_URL_SIZE]
extern const struct schema_text text_listener_url; // a struct listener_address
extern const struct schema_text text_upstream_url; // a struct upstream_server_options, its url and
                                                   // endpoint; the rest stays
extern const struct schema_text text_pin;          // 32 octets
extern const struct schema_text text_control_socket; // char[CONTROL_PATH_SIZE]
extern const struct schema_text text_prefix;         // a struct policy_prefix
