#include "stream/emitter.hpp"

namespace vljepa {

namespace {

constexpr std::size_t kPolled = 256;

double milliseconds_since(Clock::time_point begun) { return 1e3 * seconds_since(begun); }

}  // namespace

Emitter::Emitter(const Model& model, const FilledOptions& options, double least_confidence, bool has_listener, Tally& tally)
    : model_(model),
      decodes_open_(options.decodes_open),
      decodes_closed_(options.decodes_closed),
      least_(least_confidence),
      has_listener_(has_listener),
      tally_(tally) {}

Told Emitter::begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return {++outputs_, {}, {}};
}

void Emitter::emit(Cuts& cuts, const Moment& moment, Told& told) {
    std::vector<std::optional<Words>> before;  // of all cuts, before one is decoded: the order of cuts is of no matter
    for (const auto& [track, cut] : cuts) {
        before.push_back(is_put_in_words(cut) ? track->sayings.find(cut.embedding, cut.end.has_value()) : std::nullopt);
    }
    std::exception_ptr failure;
    for (std::size_t i = 0; i < cuts.size(); ++i) {
        auto& [track, cut] = cuts[i];
        Words words;
        if (before[i]) {
            words = std::move(*before[i]);
            tally_.add(&StreamStats::reuses);
        } else if (is_put_in_words(cut)) {
            words = decode(*track, cut, failure);
        }
        Event event;
        event.status = cut.end ? Status::closed : Status::open;
        event.start = cut.start;
        event.end = cut.end;
        event.decided_at = moment.decided_at;
        event.text = std::move(words.text);
        event.embedding = std::move(cut.embedding);
        event.change = cut.change;
        event.query = track->query().text;
        event.segment = cut.segment;
        event.confidence = words.confidence;
        event.wording = words.wording;
        event.reused = before[i].has_value();
        event.latency_ms = milliseconds_since(moment.called);
        keep(std::move(event), told);
    }
    if (failure) std::rethrow_exception(failure);
}

// The words of a cut, which are kept; none where decoding fails, the first of which is `failure`.
Words Emitter::decode(Track& track, const Cut& cut, std::exception_ptr& failure) {
    Words words;
    Spent spent;
    const auto begun = Clock::now();
    try {
        words = model_.say(cut.embedding, track.query().text, least_);
        tally_.add(&StreamStats::decodes);
        track.sayings.keep(cut.embedding, cut.end.has_value(), words);
    } catch (...) {
        tally_.add_failed_text();
        if (!failure) failure = std::current_exception();
    }
    spent[Stage::decode] = seconds_since(begun);
    tally_.record(spent);
    return words;
}

void Emitter::emit_label(const Sighting& sighting, const Labels& labels, const std::vector<float>& embedding,
                         const Moment& moment, Told& told) {
    Event event = seen(sighting, labels.names()[sighting.which], moment);
    event.status = sighting.end ? Status::gone : Status::appeared;
    event.query = labels.asked().text;
    event.embedding = embedding;
    keep(std::move(event), told);
}

void Emitter::emit_taught(const Sighting& sighting, const TaughtHead& head, const Moment& moment, Told& told) {
    Event event = seen(sighting, head.events[sighting.which], moment);
    event.status = sighting.end ? Status::ended : Status::began;
    event.embedding.resize(model_.width());
    keep(std::move(event), told);
}

void Emitter::emit_stall(double last, double decided_at, Told& told) {
    Event event;
    event.status = Status::stalled;
    event.start = last;
    event.decided_at = decided_at;
    event.embedding.resize(model_.width());
    event.segment = -1;
    keep(std::move(event), told);
}

std::vector<Event> Emitter::take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Event> events;
    for (auto& [number, event] : pending_) events.push_back(std::move(event));
    pending_.clear();
    return events;
}

std::optional<Event> Emitter::take_one() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (pending_.empty()) return std::nullopt;
    Event event = std::move(pending_.front().second);
    pending_.pop_front();
    return event;
}

Event Emitter::seen(const Sighting& sighting, const std::string& text, const Moment& moment) const {
    Event event;
    event.start = sighting.start;
    event.end = sighting.end;
    event.decided_at = moment.decided_at;
    event.text = text;
    event.segment = sighting.number;
    event.confidence = sighting.probability;
    event.wording = Wording::specific;
    event.latency_ms = milliseconds_since(moment.called);
    return event;
}

void Emitter::keep(Event event, Told& told) {
    tally_.add(&StreamStats::events);
    if (has_listener_) told.events.push_back(event);
    const std::lock_guard<std::mutex> lock(mutex_);
    while (pending_.size() >= kPolled && pending_.front().first != told.number) {
        pending_.pop_front();
        if (!has_listener_) tally_.add(&StreamStats::unpolled);
    }
    pending_.emplace_back(told.number, std::move(event));
}

}  // namespace vljepa
