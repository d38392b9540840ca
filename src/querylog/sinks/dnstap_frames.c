#include "querylog/sinks/dnstap_frames.h"

static const uint8_t content_type[] = "protobuf:dnstap.Dnstap";
enum { CONTENT_TYPE_SIZE = sizeof(content_type) - 1 };

void dnstap_control_write(struct writer *w, fstrm_control_type type)
{
    struct fstrm_control *control = fstrm_control_init();
    uint8_t frame[DNSTAP_CONTROL_MAX];
    size_t size = sizeof(frame);
    fstrm_res result = fstrm_control_set_type(control, type);

    if (result == fstrm_res_success && (type == FSTRM_CONTROL_READY || type == FSTRM_CONTROL_START))
        result = fstrm_control_add_field_content_type(control, content_type, CONTENT_TYPE_SIZE);
    if (result == fstrm_res_success)
        result = fstrm_control_encode(control, frame, &size, FSTRM_CONTROL_FLAG_WITH_HEADER);
    require(result == fstrm_res_success);
    fstrm_control_destroy(&control);
    writer_bytes(w, frame, size);
}

size_t dnstap_control_length(const uint8_t header[DNSTAP_CONTROL_HEADER])
{
    uint32_t length = get_u32(header + DNSTAP_FRAME_HEADER);

    return get_u32(header) == 0 && length <= FSTRM_CONTROL_FRAME_LENGTH_MAX ? length : 0;
}

bool dnstap_control_is(const uint8_t *octets, size_t size, fstrm_control_type type)
{
    bool typed =
        type == FSTRM_CONTROL_READY || type == FSTRM_CONTROL_ACCEPT || type == FSTRM_CONTROL_START;
    struct fstrm_control *control = fstrm_control_init();
    fstrm_control_type found;
    bool is = fstrm_control_decode(control, octets, size, 0) == fstrm_res_success &&
              fstrm_control_get_type(control, &found) == fstrm_res_success && found == type;

    // None at all stands for any.
    if (is && typed)
        is = fstrm_control_match_field_content_type(control, content_type, CONTENT_TYPE_SIZE) ==
             fstrm_res_success;
    fstrm_control_destroy(&control);
    return is;
}

size_t dnstap_frames_whole(const uint8_t *octets, size_t size)
{
    size_t whole = 0;

    while (size - whole >= DNSTAP_FRAME_HEADER) {
        size_t frame = (size_t)DNSTAP_FRAME_HEADER + get_u32(octets + whole);

        if (frame > size - whole)
            break;
        whole += frame;
    }
    return whole;
}
