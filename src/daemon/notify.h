// Telling the service manager how we are (sd_notify(3)), without libsystemd. Nothing happens where
// there is none. Main thread.
#pragma once

void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
