#include "vljepa/stream.hpp"

#include "api/guard.hpp"
#include "api/handles.hpp"
#include "api/log.hpp"

using vljepa::guarded;
using vljepa::required;

static_assert(static_cast<int>(vljepa::Stage::decode) == VLJEPA_STAGE_DECODE, "both enums have one order");

namespace {

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

vljepa::StreamOptions options_of(const vljepa_stream_params& params) {
    require_within("decode", params.decode, VLJEPA_DECODE_NONE);
    vljepa::StreamOptions options;
    options.policy = &required(params.policy, "policy");
    options.decode = static_cast<vljepa::Decode>(params.decode);
    options.max_idle = params.max_idle;
    options.still = params.still;
    options.reuse = params.reuse;
    if (params.hop != 0.0) options.hop = params.hop;
    if (params.gap != 0.0) options.gap = params.gap;
    if (!(params.min_confidence < 0.0)) options.min_confidence = params.min_confidence;
    if (params.queue != 0) options.queue = params.queue;
    if (params.max_staleness != 0.0) options.max_staleness = params.max_staleness;
    return options;
}

vljepa_status open(const vljepa_model* model, const vljepa_stream_params* params, bool live, vljepa::Listeners listeners,
                   vljepa_stream** stream) {
    return guarded([&] {
        required(stream, "stream") = nullptr;
        const std::shared_ptr<const vljepa::Model>& shared = required(model, "model").model;
        const vljepa_stream_params given = params == nullptr ? vljepa_stream_default_params() : *params;
        vljepa::StreamOptions options = options_of(given);
        options.live = live;
        *stream = new vljepa_stream{vljepa::Stream(shared, queries_of(*shared, given), options, std::move(listeners))};
    });
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
    params.max_staleness = 2.0;
    return params;
}

vljepa_status vljepa_stream_open(const vljepa_model* model, const vljepa_stream_params* params, vljepa_stream** stream) {
    return open(model, params, false, {}, stream);
}

vljepa_status vljepa_stream_open_live(const vljepa_model* model, const vljepa_stream_params* params,
                                      vljepa_event_callback callback, void* user, vljepa_stream** stream) {
    vljepa::Listeners listeners;
    listeners.on_error = [](const std::string& what) { vljepa::log(VLJEPA_LOG_ERROR, what); };
    if (callback != nullptr) {
        listeners.on_event = [callback, user](const vljepa::Event& event) {
            const vljepa_event told(event);
            callback(&told, user);
        };
    }
    return open(model, params, true, std::move(listeners), stream);
}

void vljepa_stream_free(vljepa_stream* stream) { delete stream; }

vljepa_status vljepa_stream_push(vljepa_stream* stream, const vljepa_frame* frame, double time) {
    return guarded([&] { required(stream, "stream").stream.push(picture_of(required(frame, "frame")), time); });
}

vljepa_status vljepa_stream_flush(vljepa_stream* stream) {
    return guarded([&] { required(stream, "stream").stream.flush(); });
}

vljepa_status vljepa_stream_reset(vljepa_stream* stream) {
    return guarded([&] { required(stream, "stream").stream.reset(); });
}

vljepa_status vljepa_stream_close(vljepa_stream* stream) {
    return guarded([&] { required(stream, "stream").stream.close(); });
}

vljepa_status vljepa_stream_poll(vljepa_stream* stream, vljepa_event** event) {
    return guarded([&] {
        required(event, "event") = nullptr;
        std::optional<vljepa::Event> oldest = required(stream, "stream").stream.poll_one();
        if (oldest) *event = new vljepa_event(std::move(*oldest));
    });
}

vljepa_status vljepa_stream_get_stats(const vljepa_stream* stream, vljepa_stats* stats) {
    return guarded([&] {
        const vljepa::StreamStats s = required(stream, "stream").stream.stats();
        required(stats, "stats") = {s.encoded,  s.skipped, s.repeated,     s.backwards, s.bad_times,       s.errors,   s.frames,
                                    s.restarts, s.gaps,    s.resized,      s.hops,      s.decodes,         s.events,   s.hops_idle,
                                    s.dropped,  s.stale,   s.hops_put_off, s.stalls,    s.callback_errors, s.unpolled, {}};
    });
}

int64_t vljepa_stream_failing(const vljepa_stream* stream) {
    int64_t failing = -1;
    guarded([&] { failing = required(stream, "stream").stream.failing(); });
    return failing;
}

vljepa_status vljepa_stream_get_savings(const vljepa_stream* stream, vljepa_savings* savings) {
    return guarded([&] {
        const vljepa::StreamStats s = required(stream, "stream").stream.stats();
        required(savings, "savings") = {s.still, s.reuses, {}};
    });
}

vljepa_status vljepa_stream_get_latency(const vljepa_stream* stream, int32_t stage, vljepa_latency* latency) {
    return guarded([&] {
        require_within("stage", stage, VLJEPA_STAGE_DECODE);
        const vljepa::Latency found = required(stream, "stream").stream.latency(static_cast<vljepa::Stage>(stage));
        required(latency, "latency") = {found.count, found.p50, found.p90, found.p99, {}};
    });
}

const char* vljepa_stream_last_error(const vljepa_stream* stream) {
    thread_local std::string text;
    guarded([&] { text = required(stream, "stream").stream.last_error(); });
    return text.c_str();
}
