#include "stream/session.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "vljepa/error.hpp"

namespace vljepa {

namespace {

constexpr double kLongestWait = 60.0;  // seconds; a bound for an endless gap

}  // namespace

Stream::Impl::Impl(const Model& model, std::vector<Query> queries, const StreamOptions& options, Listeners listeners)
    : policy(options.policy),
      teller(std::move(listeners), tally),
      emitter(model, filled(options, model.manifest().video), model.least_confidence(options.min_confidence),
              teller.has_listener(), tally),
      model_(model),
      options_(filled(options, model.manifest().video)),
      sampler_(model.manifest().video.fps, options_.gap),
      arrived_(Clock::now()),
      queue_(options.live ? std::optional<std::size_t>(options_.queue) : std::nullopt),
      analysis_(model.vision(), options_, queue_ ? &*queue_ : nullptr, emitter, tally) {
    if (queries.empty()) queries.push_back(model.query(model.manifest().text.default_query));
    analysis_.tracks = tracks_for(std::move(queries));
    if (!queue_) return;
    worker_ = std::thread([this] { serve(); });
    worker_id_ = worker_.get_id();
}

Stream::Impl::~Impl() { close(); }

// Does what makes events, then tells of them, also where it throws.
template <typename F>
void Stream::Impl::tell(F&& work) {
    Told told = emitter.begin();
    try {
        work(told);
    } catch (...) {
        teller.deliver(told);
        throw;
    }
    teller.deliver(told);
}

void Stream::Impl::push(const Picture& picture, double time) {
    const auto called = Clock::now();
    tell([&](Told& told) {
        const std::lock_guard<std::mutex> door(door_);
        check_open();
        tally.add(&StreamStats::frames);
        if (!is_due(time, called)) return;
        if (queue_) {
            Item item = queue_->spare();
            admit(picture, time, called, item);
            if (queue_->put(std::move(item))) tally.add(&StreamStats::dropped);
            return;
        }
        admit(picture, time, called, own_);
        const std::lock_guard<std::mutex> work(work_);
        analysis_.take(own_, told);
    });
}

// Counts the frame out where it is not.
bool Stream::Impl::is_due(double time, Clock::time_point called) {
    switch (sampler_.judge(time)) {
        case Verdict::skipped: tally.add(&StreamStats::skipped); arrived_ = called; return false;
        case Verdict::repeated: tally.add(&StreamStats::repeated); return false;
        case Verdict::backwards: tally.add(&StreamStats::backwards); return false;
        case Verdict::bad: tally.add(&StreamStats::bad_times); return false;
        case Verdict::restart: tally.add(&StreamStats::restarts); ++stretch_; return true;
        case Verdict::gap: tally.add(&StreamStats::gaps); ++stretch_; return true;
        case Verdict::due: return true;
    }
    return false;
}

void Stream::Impl::admit(const Picture& picture, double time, Clock::time_point called, Item& item) {
    try {
        check_picture(picture);
        item.picture = queue_ ? copied(picture, item.pixels) : picture;
    } catch (...) {
        tally.add(&StreamStats::errors);
        throw;
    }
    sampler_.take(time);
    arrived_ = called;
    item.time = time;
    item.called = called;
    item.admitted = Clock::now();
    item.number = ++admitted_;
    item.stretch = stretch_;
    item.life = life_;
}

void Stream::Impl::flush() {
    if (queue_ && !is_worker()) queue_->join();
    tell([&](Told& told) {
        const std::lock_guard<std::mutex> work(work_);
        check_open();
        expects_frames_ = false;
        if (analysis_.last()) analysis_.end_all(*analysis_.last(), *analysis_.last(), told);
    });
}

void Stream::Impl::reset() {
    const std::lock_guard<std::mutex> door(door_);
    const std::lock_guard<std::mutex> work(work_);
    check_open();
    ++life_;
    if (queue_) queue_->clear();
    sampler_.restart();
    analysis_.reset();
    emitter.take();
    expects_frames_ = false;
    tally.clear();
    teller.forget();
}

void Stream::Impl::close() {
    is_closed_ = true;
    if (queue_) {
        tally.add(&StreamStats::dropped, queue_->close());
        if (!is_worker()) {
            const std::lock_guard<std::mutex> joining(joining_);
            if (worker_.joinable()) worker_.join();
        }
    }
    const std::lock_guard<std::mutex> door(door_);  // calls of other threads that are at work
    const std::lock_guard<std::mutex> work(work_);
}

void Stream::Impl::check_open() const {
    if (is_closed_) throw InputError("this stream is closed; open another");
}

// --- the worker ---

void Stream::Impl::serve() {
    double patience = 0.0;
    while (true) {
        std::optional<Item> item = queue_->get(std::min(patience, kLongestWait));
        if (item) work_on(*item);
        const bool is_over = queue_->is_closed();
        if (!is_over) patience = report_silence();
        queue_->done(std::move(item));
        if (is_over) return;
    }
}

// As push() does it, but nothing is thrown: it would end the program.
void Stream::Impl::work_on(Item& item) {
    Told told = emitter.begin();
    {
        const std::lock_guard<std::mutex> work(work_);
        if (!analysis_.keeps_up()) tally.add(&StreamStats::dropped, queue_->newest(item));
        if (item.life == life_) {
            expects_frames_ = true;
            if (is_closed_) {
                tally.add(&StreamStats::dropped);
            } else if (seconds_since(item.admitted) > options_.max_staleness) {
                tally.add(&StreamStats::stale);
            } else {
                try {
                    analysis_.take(item, told);
                } catch (...) {
                    told.error = teller.keep("a live stream failed on a frame");
                }
            }
        }
    }
    teller.deliver(told);
    const std::lock_guard<std::mutex> work(work_);
    analysis_.note_hop();
}

// What the worker does between frames: it tells of a stall when it is time. Returns the seconds to wait at most.
double Stream::Impl::report_silence() {
    const double gap = options_.gap;
    Told told = emitter.begin();
    {
        const std::lock_guard<std::mutex> work(work_);
        if (queue_->size() > 0) return 0.0;  // it may have come while the lock was waited for
        if (!expects_frames_ || is_closed_ || !analysis_.last()) return gap;
        const double silent = seconds_since(arrived_);
        if (silent < gap) return gap - silent;
        expects_frames_ = false;
        const double last = *analysis_.last();
        try {
            analysis_.end_all(last, last + silent, told);
        } catch (...) {
            told.error = teller.keep("a live stream failed at a stall");
        }
        emitter.emit_stall(last, last + silent, told);
        tally.add(&StreamStats::stalls);  // a stall that is counted can be polled
    }
    teller.deliver(told);
    return gap;
}

// --- queries, labels and heads ---

std::shared_ptr<Track> Stream::Impl::track_for(std::shared_ptr<const Query> query, const std::string& by) const {
    return std::make_shared<Track>(std::move(query), make_policy(by, model_.width()), options_.reuse);
}

Tracks Stream::Impl::tracks_for(std::vector<Query> queries) const {
    Tracks tracks;
    for (Query& query : queries) {
        for (const auto& track : tracks) {
            if (track->query().text != query.text) continue;
            throw InputError("the queries of a stream must all differ, got \"" + query.text + "\" twice");
        }
        tracks.push_back(track_for(std::make_shared<const Query>(std::move(query)), policy));
    }
    return tracks;
}

void Stream::Impl::change(const std::function<Tracks(const Tracks&)>& change) {
    tell([&](Told& told) {
        const std::lock_guard<std::mutex> work(work_);
        check_open();
        const Tracks before = std::exchange(analysis_.tracks, change(analysis_.tracks));
        const Tracks& now = analysis_.tracks;
        Tracks removed;
        std::copy_if(before.begin(), before.end(), std::back_inserter(removed),
                     [&](const auto& track) { return std::find(now.begin(), now.end(), track) == now.end(); });
        if (analysis_.last()) analysis_.end_segments(removed, *analysis_.last(), *analysis_.last(), told);
    });
}

std::vector<std::string> Stream::Impl::queries() const {
    const std::lock_guard<std::mutex> work(work_);
    std::vector<std::string> texts;
    for (const auto& track : analysis_.tracks) texts.push_back(track->query().text);
    return texts;
}

void Stream::Impl::watch(std::optional<WatchedLabels> labels) {
    tell([&](Told& told) {
        const std::lock_guard<std::mutex> work(work_);
        check_open();
        if (analysis_.last()) analysis_.end_watch(*analysis_.last(), *analysis_.last(), told);
        analysis_.watch = std::move(labels);
    });
}

void Stream::Impl::add_head(WatchedHead head) {
    const std::lock_guard<std::mutex> work(work_);
    check_open();
    for (const WatchedHead& other : analysis_.heads) {
        for (const std::string& event : head.head()->events) {
            const std::vector<std::string>& known = other.head()->events;
            if (std::find(known.begin(), known.end(), event) == known.end()) continue;
            throw InputError("a head of this stream has the event \"" + event + "\" already");
        }
    }
    analysis_.heads.push_back(std::move(head));
}

void Stream::Impl::remove_head(const std::shared_ptr<const TaughtHead>& head) {
    tell([&](Told& told) {
        const std::lock_guard<std::mutex> work(work_);
        check_open();
        auto& heads = analysis_.heads;
        const auto found = std::find_if(heads.begin(), heads.end(), [&](const auto& other) { return other.head() == head; });
        if (found == heads.end()) throw InputError("this stream has no such head");
        WatchedHead removed = std::move(*found);
        heads.erase(found);
        if (analysis_.last()) analysis_.end_head(removed, *analysis_.last(), *analysis_.last(), told);
    });
}

}  // namespace vljepa
