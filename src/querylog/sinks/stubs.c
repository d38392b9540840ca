#include "querylog/sink.h"
const struct querylog_sink_ops querylog_postgresql = {.scheme = "postgresql"};
