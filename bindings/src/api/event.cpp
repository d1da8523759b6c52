#include <limits>

#include "api/handles.hpp"

static_assert(static_cast<int>(vljepa::Status::stalled) == VLJEPA_STALLED, "both enums have one order");

void vljepa_event_free(vljepa_event* event) { delete event; }

int32_t vljepa_event_get_status(const vljepa_event* event) { return static_cast<int32_t>(event->event.status); }

int vljepa_event_is_open(const vljepa_event* event) { return event->event.status == vljepa::Status::open ? 1 : 0; }

double vljepa_event_start(const vljepa_event* event) { return event->event.start; }

double vljepa_event_end(const vljepa_event* event) {
    return event->event.end.value_or(std::numeric_limits<double>::quiet_NaN());
}

double vljepa_event_decided_at(const vljepa_event* event) { return event->event.decided_at; }

const char* vljepa_event_text(const vljepa_event* event) { return event->event.text.c_str(); }

double vljepa_event_confidence(const vljepa_event* event) {
    return event->event.confidence.value_or(std::numeric_limits<double>::quiet_NaN());
}

int vljepa_event_reused(const vljepa_event* event) { return event->event.reused ? 1 : 0; }

double vljepa_event_change(const vljepa_event* event) { return event->event.change; }

const char* vljepa_event_query(const vljepa_event* event) { return event->event.query.c_str(); }

int64_t vljepa_event_segment(const vljepa_event* event) { return event->event.segment; }

double vljepa_event_latency_ms(const vljepa_event* event) { return event->event.latency_ms; }

const float* vljepa_event_embedding(const vljepa_event* event) { return event->event.embedding.data(); }

const char* vljepa_event_json(const vljepa_event* event) { return event->json.c_str(); }
