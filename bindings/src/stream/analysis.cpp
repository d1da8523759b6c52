#include "stream/analysis.hpp"

#include <algorithm>
#include <exception>

namespace vljepa {

namespace {

// Calls `end`, and `then` also where it throws.
template <typename End, typename Then>
void finally(End&& end, Then&& then) {
    try {
        end();
    } catch (...) {
        then();
        throw;
    }
    then();
}

}  // namespace

Analysis::Analysis(const Vision& vision, const FilledOptions& options, const LatestQueue<Item>* waiting, Emitter& emitter,
                   Tally& tally)
    : vision_(vision),
      emitter_(emitter),
      tally_(tally),
      waiting_(waiting),
      hop_(options.hop),
      pace_(1.0 / vision.video().fps,
            std::min(options.max_staleness, static_cast<double>(options.queue) / vision.video().fps) / 2.0),
      encoder_(vision, options.max_idle, options.still),
      frame_(3 * static_cast<std::size_t>(vision.video().width) * static_cast<std::size_t>(vision.video().height)) {}

void Analysis::take(const Item& item, Told& told) {
    try {
        step(item, told);
    } catch (...) {
        tally_.add(&StreamStats::errors);
        throw;
    }
    tally_.add(&StreamStats::encoded);
}

void Analysis::step(const Item& item, Told& told) {
    const VideoEntry& video = vision_.video();
    const auto begun = Clock::now();
    follow_clock(item, told);
    const auto scaling = Clock::now();
    scaler_.fit(item.picture, video.width, video.height, video.resize, frame_.data());
    const auto encoding = Clock::now();
    const std::int64_t runs = encoder_.runs();
    encoder_.push(frame_.data(), item.time);
    const auto encoded = Clock::now();
    if (encoder_.runs() == runs) tally_.add(&StreamStats::still);
    last_ = item.time;
    Spent spent;
    spent[Stage::scale] = seconds(encoding - scaling + (item.admitted - item.called));
    spent[Stage::encode] = seconds(encoded - encoding);
    if (waiting_ != nullptr) spent[Stage::queue] = seconds(begun - item.admitted);
    if (!is_hop(item.time, seconds(begun - item.admitted), seconds(encoded - scaling))) {
        if (encoder_.runs() == runs) spent[Stage::encode] = -1.0;
        tally_.record(spent);
        return;
    }
    hopped_ = item.time;
    hop_begun_ = Clock::now();
    encoder_.encode();
    if (!heads.empty()) encoder_.pooled();
    spent[Stage::encode] += seconds_since(*hop_begun_);
    Decided decided = decide(item.time, spent);
    spent[Stage::hop] = seconds_since(scaling) + seconds(item.admitted - item.called);
    spent[Stage::overhead] =
        std::max(0.0, spent[Stage::hop] - spent[Stage::scale] - spent[Stage::encode] - spent[Stage::predict]);
    tally_.add(&StreamStats::hops);
    if (encoder_.runs() == runs) {
        tally_.add(&StreamStats::hops_idle);
        for (const Stage stage : {Stage::hop, Stage::encode, Stage::predict, Stage::policy, Stage::overhead}) spent[stage] = -1.0;
    }
    tally_.record(spent);
    const Moment moment{item.time, item.called};
    for (const Sighting& sighting : decided.labels) {
        emitter_.emit_label(sighting, watch->labels(), watch->embedding(), moment, told);
    }
    for (const auto& [head, sighting] : decided.taught) emitter_.emit_taught(sighting, *head, moment, told);
    emitter_.emit(decided.cuts, moment, told);
}

bool Analysis::is_hop(double time, double waited, double spent) {
    const bool is_due = !hopped_ || time - *hopped_ > hop_ - 0.5 / vision_.video().fps;
    if (waiting_ == nullptr) return is_due;
    pace_.note_frame(spent);
    const bool can_hop = pace_.can_hop(waited, waiting_->size());
    if (is_due && !can_hop) tally_.add(&StreamStats::hops_put_off);
    return is_due && can_hop;
}

// Notices gaps, restarts of the clock, lost frames and new frame sizes.
void Analysis::follow_clock(const Item& item, Told& told) {
    const std::pair<int, int> size{item.picture.width, item.picture.height};
    if (size_ && *size_ != size) tally_.add(&StreamStats::resized);
    size_ = size;
    const bool breaks = item.stretch != stretch_;
    const std::int64_t lost = item.number - encoded_ - 1;
    stretch_ = item.stretch;
    encoded_ = item.number;
    if (!last_) return;
    if (breaks) {
        start_again(*last_, std::max(*last_, item.time), told);
    } else if (lost > 0 && item.time - *last_ > vision_.video().window / vision_.video().fps) {
        encoder_.clear();  // nothing in it belongs beside this frame
    }
}

// Clears the window and closes the open segments at the last frame; the next one may have any time.
void Analysis::start_again(double last, double decided_at, Told& told) {
    last_.reset();
    hopped_.reset();
    encoder_.clear();
    finally([&] { end_all(last, decided_at, told); },
            [&] {
                for (const auto& track : tracks) track->restart_clock();
                for (WatchedHead& head : heads) head.watch().restart_clock();
                if (watch) watch->watch().restart_clock();
            });
}

// Predicts for each query, then asks the policies: a prediction that fails moves none of them.
Analysis::Decided Analysis::decide(double time, Spent& spent) {
    const auto begun = Clock::now();
    for (const auto& track : tracks) encoder_.embed(track->query(), track->prediction());
    const Prediction* watched = nullptr;
    if (watch) {
        const Query& asked = watch->labels().asked();
        for (const auto& track : tracks) {
            if (track->query().text == asked.text) watched = &track->prediction();
        }
        if (watched == nullptr) {
            encoder_.embed(asked, watch->prediction());
            watched = &watch->prediction();
        }
    }
    const auto predicted = Clock::now();
    Decided decided;
    for (const auto& track : tracks) {
        for (Cut& cut : track->push(time, encoder_.oldest())) decided.cuts.emplace_back(track.get(), std::move(cut));
    }
    if (watched != nullptr) decided.labels = watch->push(watched->embedding, time, encoder_.oldest());
    for (WatchedHead& head : heads) {
        for (const Sighting& sighting : head.push(encoder_.pooled(), time, encoder_.pooled_oldest())) {
            decided.taught.emplace_back(head.head().get(), sighting);
        }
    }
    spent[Stage::predict] = seconds(predicted - begun);
    spent[Stage::policy] = seconds_since(predicted);
    return decided;
}

void Analysis::end_all(double last, double decided_at, Told& told) {
    end_watch(last, decided_at, told);
    for (WatchedHead& head : heads) end_head(head, last, decided_at, told);
    end_segments(tracks, last, decided_at, told);
}

void Analysis::end_watch(double last, double decided_at, Told& told) {
    if (!watch) return;
    const Moment moment{decided_at, Clock::now()};
    for (const Sighting& sighting : watch->watch().end(last)) {
        emitter_.emit_label(sighting, watch->labels(), watch->embedding(), moment, told);
    }
}

void Analysis::end_head(WatchedHead& head, double last, double decided_at, Told& told) {
    const Moment moment{decided_at, Clock::now()};
    for (const Sighting& sighting : head.watch().end(last)) emitter_.emit_taught(sighting, *head.head(), moment, told);
}

void Analysis::end_segments(const Tracks& ended, double last, double decided_at, Told& told) {
    const Moment moment{decided_at, Clock::now()};
    Cuts cuts;
    for (const auto& track : ended) {
        for (Cut& cut : track->end(last)) cuts.emplace_back(track.get(), std::move(cut));
    }
    emitter_.emit(cuts, moment, told);
}

void Analysis::note_hop() {
    if (hop_begun_) pace_.note_hop(seconds_since(*hop_begun_));
    hop_begun_.reset();
}

void Analysis::reset() {
    last_.reset();
    hopped_.reset();
    size_.reset();
    encoder_.clear();
    pace_.restart();
    for (const auto& track : tracks) track->reset();
    for (WatchedHead& head : heads) head.watch().reset();
    if (watch) watch->watch().reset();
}

}  // namespace vljepa
