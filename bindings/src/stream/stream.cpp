#include "vljepa/stream.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <set>

#include "bundle/json.hpp"
#include "stream/track.hpp"
#include "vision/window_encoder.hpp"
#include "vljepa/error.hpp"
#include "vljepa/sampler.hpp"

namespace vljepa {

namespace {

std::string shown(double value) { return Json(value).shown(); }

// Seconds between hops: a multiple of the time between two frames.
double hop_of(const VideoEntry& video, const std::optional<double>& wanted) {
    const double period = 1.0 / video.fps;
    const double hop = wanted.value_or(video.hop / video.fps);
    if (!std::isfinite(hop) || hop < period * (1.0 - 1e-6)) {
        throw InputError("hop must be at least " + shown(period) + " seconds; frames of this model are " + shown(period) +
                         " s apart, got " + shown(hop));
    }
    return std::nearbyint(hop * video.fps) * period;
}

double gap_of(const VideoEntry& video, const std::optional<double>& wanted) {
    const double period = 1.0 / video.fps;
    const double gap = wanted.value_or(std::max(2.0, video.window / video.fps));
    if (!(gap > period)) {
        throw InputError("gap must be more than " + shown(period) + " seconds; frames of this model are " + shown(period) +
                         " s apart, got " + shown(gap));
    }
    return gap;
}

double max_idle_of(double wanted) {
    if (!(wanted >= 0.0)) {
        throw InputError("max_idle must be a number of seconds, at least 0, or inf for no bound, got " + shown(wanted));
    }
    return wanted;
}

}  // namespace

class Stream::Impl {
  public:
    Impl(const Model& model, std::vector<Query> queries, const StreamOptions& options)
        : model_(model),
          video_(model.manifest().video),
          hop_(hop_of(video_, options.hop)),
          decodes_open_(options.decode == Decode::open || options.decode == Decode::both),
          decodes_closed_(options.decode == Decode::closed || options.decode == Decode::both),
          least_(model.least_confidence(options.min_confidence)),
          sampler_(video_.fps, gap_of(video_, options.gap)),
          encoder_(model.vision(), max_idle_of(options.max_idle)),
          frame_(3 * static_cast<std::size_t>(video_.width) * static_cast<std::size_t>(video_.height)) {
        if (queries.empty()) queries.push_back(model.query(model.manifest().text.default_query));
        std::set<std::string> texts;
        for (Query& query : queries) {
            if (!texts.insert(query.text).second) {
                throw InputError("the queries of a stream must all differ, got \"" + query.text + "\" twice");
            }
            tracks_.push_back(std::make_unique<Track>(std::move(query), make_policy(options.policy, model.width())));
        }
    }

    void push(const Picture& picture, double time) {
        ++stats_.frames;
        const Verdict verdict = sampler_.judge(time);
        switch (verdict) {
            case Verdict::skipped: ++stats_.skipped; return;
            case Verdict::repeated: ++stats_.repeated; return;
            case Verdict::backwards: ++stats_.backwards; return;
            case Verdict::bad: ++stats_.bad_times; return;
            case Verdict::restart: ++stats_.restarts; breaks_ = true; break;
            case Verdict::gap: ++stats_.gaps; breaks_ = true; break;
            case Verdict::due: break;
        }
        try {
            check_picture(picture);
            sampler_.take(time);
            step(picture, time);
        } catch (...) {
            ++stats_.errors;
            throw;
        }
        ++stats_.encoded;
    }

    void flush() {
        if (last_) end_all(*last_, *last_);
    }

    void reset() {
        sampler_.restart();
        encoder_.clear();
        events_.clear();
        last_.reset();
        hopped_.reset();
        size_.reset();
        breaks_ = false;
        stats_ = {};
        for (const auto& track : tracks_) track->reset();
    }

    const StreamStats& stats() const { return stats_; }

    std::vector<Event> poll() {
        std::vector<Event> events;
        events.swap(events_);
        return events;
    }

  private:
    using Cuts = std::vector<std::pair<Track*, Cut>>;

    void step(const Picture& picture, double time) {
        const std::pair<int, int> size{picture.width, picture.height};
        if (size_ && *size_ != size) ++stats_.resized;
        size_ = size;
        if (breaks_) {
            breaks_ = false;
            if (last_) start_again(*last_, std::max(*last_, time));
        }
        scaler_.fit(picture, video_.width, video_.height, video_.resize, frame_.data());
        const std::int64_t runs = encoder_.runs();
        encoder_.push(frame_.data(), time);
        last_ = time;
        const bool is_hop = !hopped_ || time - *hopped_ > hop_ - 0.5 / video_.fps;
        if (!is_hop) return;
        hopped_ = time;
        std::vector<std::vector<float>> made;  // all of them first: a prediction that fails moves no policy
        for (const auto& track : tracks_) made.push_back(encoder_.embed(track->query()));
        Cuts cuts;
        for (std::size_t i = 0; i < tracks_.size(); ++i) {
            for (Cut& cut : tracks_[i]->push(made[i], time, encoder_.oldest())) cuts.emplace_back(tracks_[i].get(), std::move(cut));
        }
        ++stats_.hops;
        if (encoder_.runs() == runs) ++stats_.hops_idle;
        emit(cuts, time);
    }

    // Clears the window and closes the open segments at the last frame; the next one may have any time.
    void start_again(double last, double decided_at) {
        last_.reset();
        hopped_.reset();
        encoder_.clear();
        std::exception_ptr failure;
        try {
            end_all(last, decided_at);
        } catch (...) {
            failure = std::current_exception();
        }
        for (const auto& track : tracks_) track->restart_clock();
        if (failure) std::rethrow_exception(failure);
    }

    void end_all(double last, double decided_at) {
        Cuts cuts;
        for (const auto& track : tracks_) {
            for (Cut& cut : track->end(last)) cuts.emplace_back(track.get(), std::move(cut));
        }
        emit(cuts, decided_at);
    }

    // Decodes cuts and keeps their events: all of them, with an empty text where decoding fails. Then throws that failure.
    void emit(Cuts& cuts, double decided_at) {
        std::exception_ptr failure;
        for (auto& [track, cut] : cuts) {
            Words words;
            if (cut.end ? decodes_closed_ : decodes_open_) {
                try {
                    words = model_.say(cut.embedding, track->query().text, least_);
                    ++stats_.decodes;
                } catch (...) {
                    if (!failure) failure = std::current_exception();
                }
            }
            Event event;
            event.status = cut.end ? Status::closed : Status::open;
            event.start = cut.start;
            event.end = cut.end;
            event.decided_at = decided_at;
            event.text = std::move(words.text);
            event.embedding = std::move(cut.embedding);
            event.change = cut.change;
            event.query = track->query().text;
            event.segment = cut.segment;
            event.confidence = words.confidence;
            event.wording = words.wording;
            events_.push_back(std::move(event));
            ++stats_.events;
        }
        if (failure) std::rethrow_exception(failure);
    }

    const Model& model_;
    const VideoEntry& video_;
    double hop_;
    bool decodes_open_;
    bool decodes_closed_;
    double least_;
    Sampler sampler_;
    WindowEncoder encoder_;
    Scaler scaler_;
    std::vector<std::uint8_t> frame_;
    std::vector<std::unique_ptr<Track>> tracks_;
    std::vector<Event> events_;
    std::optional<double> last_;    // time of the newest frame
    std::optional<double> hopped_;  // time of the last hop
    std::optional<std::pair<int, int>> size_;
    bool breaks_ = false;  // a gap or a restart lies before the next frame
    StreamStats stats_;
};

Stream::Stream(std::shared_ptr<const Model> model, std::vector<Query> queries, const StreamOptions& options)
    : model_(std::move(model)), impl_(std::make_unique<Impl>(*model_, std::move(queries), options)) {}

Stream::Stream(Stream&&) noexcept = default;

Stream::~Stream() = default;

void Stream::push(const Picture& picture, double time) { impl_->push(picture, time); }

void Stream::flush() { impl_->flush(); }

void Stream::reset() { impl_->reset(); }

const StreamStats& Stream::stats() const { return impl_->stats(); }

std::vector<Event> Stream::poll() { return impl_->poll(); }

}  // namespace vljepa
