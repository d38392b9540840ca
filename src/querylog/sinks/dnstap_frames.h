// Frame Streams (https://github.com/farsightsec/fstrm): the frames that dnstap messages travel in.
//
// A data frame is its length in four octets (big-endian, never 0) and a message. A control frame is
// four zeros, its length in four octets, and what libfstrm makes of it. A stream to a collector is
//   READY ►  ◄ ACCEPT  START ►  data ► ...  STOP ►  ◄ FINISH
// and a file is START, data, STOP.
#pragma once

#include <fstrm.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/cursor.h"

#define DNSTAP_FRAME_HEADER 4
#define DNSTAP_CONTROL_HEADER 8
#define DNSTAP_CONTROL_MAX (DNSTAP_CONTROL_HEADER + FSTRM_CONTROL_FRAME_LENGTH_MAX)

// Appends a control frame of that type, with the content type of dnstap where that has its place.
NONNULL void dnstap_control_write(struct writer *w, fstrm_control_type type);

// The length of what follows the header of a control frame; 0 if it is none.
NONNULL size_t dnstap_control_length(const uint8_t header[DNSTAP_CONTROL_HEADER]);

// Whether what follows the header is of that type, and if it has content types, for dnstap.
NONNULL bool dnstap_control_is(const uint8_t *octets, size_t size, fstrm_control_type type);

// How many of `size` octets, which begin with a frame, are whole frames.
NONNULL size_t dnstap_frames_whole(const uint8_t *octets, size_t size);
