#include "vljepa/stream.hpp"

#include <algorithm>
#include <limits>

#include "api/guard.hpp"
#include "api/handles.hpp"

using vljepa::guarded;
using vljepa::required;

namespace {

constexpr std::size_t kKept = 256;

void require_within(const char* name, std::int64_t value, std::int64_t most) {
    if (value < 0 || value > most) {
        throw vljepa::InputError(std::string(name) + " must be 0 to " + std::to_string(most) + ", got " +
                                 std::to_string(value));
    }
}

vljepa::Picture picture_of(const vljepa_frame& frame) {
    require_within("format", frame.format, VLJEPA_I420);
    require_within("matrix", frame.matrix, VLJEPA_MATRIX_BT709);
    vljepa::Picture picture;
    picture.format = static_cast<vljepa::PixelFormat>(frame.format);
    picture.width = frame.width;
    picture.height = frame.height;
    picture.matrix = static_cast<vljepa::Matrix>(frame.matrix);
    picture.is_full_range = frame.full_range != 0;
    for (std::size_t i = 0; i < picture.planes.size(); ++i) {
        picture.planes[i] = frame.planes[i];
        picture.strides[i] = frame.strides[i];
    }
    return picture;
}

std::vector<vljepa::Query> queries_of(const vljepa::Model& model, const vljepa_stream_params& params) {
    std::vector<vljepa::Query> queries;
    for (std::size_t i = 0; i < params.query_count; ++i) {
        queries.push_back(model.query(&required((&required(params.queries, "queries"))[i], "a query")));
    }
    for (std::size_t i = 0; i < params.query_file_count; ++i) {
        queries.push_back(model.read_query(&required((&required(params.query_files, "query_files"))[i], "a query file")));
    }
    return queries;
}

// Takes what the stream has made, also when it failed on the way.
void collect(vljepa_stream& stream) {
    std::vector<vljepa::Event> made = stream.stream.poll();
    for (vljepa::Event& event : made) stream.events.push_back(std::move(event));
    const std::size_t most = std::max(kKept, made.size());
    while (stream.events.size() > most) stream.events.pop_front();
}

template <typename F>
vljepa_status with_stream(vljepa_stream* stream, F&& work) {
    const vljepa_status status = guarded([&] { work(required(stream, "stream").stream); });
    const vljepa_status collected = stream == nullptr ? status : guarded([&] { collect(*stream); });
    return status == VLJEPA_OK ? collected : status;
}

}  // namespace

vljepa_frame vljepa_frame_default(int32_t format, int32_t width, int32_t height, const uint8_t* pixels) {
    vljepa_frame frame{};
    frame.format = format;
    frame.width = width;
    frame.height = height;
    frame.planes[0] = pixels;
    return frame;
}

vljepa_stream_params vljepa_stream_default_params(void) {
    vljepa_stream_params params{};
    params.policy = "running-ward";
    params.min_confidence = -1.0;
    params.max_idle = 10.0;
    return params;
}

vljepa_status vljepa_stream_open(const vljepa_model* model, const vljepa_stream_params* params, vljepa_stream** stream) {
    return guarded([&] {
        required(stream, "stream") = nullptr;
        const std::shared_ptr<const vljepa::Model>& shared = required(model, "model").model;
        const vljepa_stream_params given = params == nullptr ? vljepa_stream_default_params() : *params;
        require_within("decode", given.decode, VLJEPA_DECODE_NONE);
        vljepa::StreamOptions options;
        options.policy = &required(given.policy, "policy");
        options.decode = static_cast<vljepa::Decode>(given.decode);
        options.max_idle = given.max_idle;
        if (given.hop != 0.0) options.hop = given.hop;
        if (given.gap != 0.0) options.gap = given.gap;
        if (!(given.min_confidence < 0.0)) options.min_confidence = given.min_confidence;
        *stream = new vljepa_stream{vljepa::Stream(shared, queries_of(*shared, given), options), {}};
    });
}

void vljepa_stream_free(vljepa_stream* stream) { delete stream; }

vljepa_status vljepa_stream_push(vljepa_stream* stream, const vljepa_frame* frame, double time) {
    return with_stream(stream, [&](vljepa::Stream& s) { s.push(picture_of(required(frame, "frame")), time); });
}

vljepa_status vljepa_stream_flush(vljepa_stream* stream) {
    return with_stream(stream, [](vljepa::Stream& s) { s.flush(); });
}

vljepa_status vljepa_stream_reset(vljepa_stream* stream) {
    return with_stream(stream, [&](vljepa::Stream& s) {
        s.reset();
        stream->events.clear();
    });
}

vljepa_status vljepa_stream_poll(vljepa_stream* stream, vljepa_event** event) {
    return guarded([&] {
        required(event, "event") = nullptr;
        std::deque<vljepa::Event>& events = required(stream, "stream").events;
        if (events.empty()) return;
        auto made = std::make_unique<vljepa_event>(vljepa_event{events.front(), events.front().to_json()});
        events.pop_front();
        *event = made.release();
    });
}

vljepa_status vljepa_stream_get_stats(const vljepa_stream* stream, vljepa_stats* stats) {
    return guarded([&] {
        const vljepa::StreamStats& s = required(stream, "stream").stream.stats();
        required(stats, "stats") = {s.encoded,  s.skipped, s.repeated, s.backwards, s.bad_times, s.errors, s.frames,
                                    s.restarts, s.gaps,    s.resized,  s.hops,      s.decodes,   s.events, s.hops_idle, {}};
    });
}

void vljepa_event_free(vljepa_event* event) { delete event; }

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

double vljepa_event_change(const vljepa_event* event) { return event->event.change; }

const char* vljepa_event_query(const vljepa_event* event) { return event->event.query.c_str(); }

int64_t vljepa_event_segment(const vljepa_event* event) { return event->event.segment; }

const float* vljepa_event_embedding(const vljepa_event* event) { return event->event.embedding.data(); }

const char* vljepa_event_json(const vljepa_event* event) { return event->json.c_str(); }
