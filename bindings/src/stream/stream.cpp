#include "vljepa/stream.hpp"

#include <algorithm>

#include "stream/session.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

Stream::Stream(std::shared_ptr<const Model> model, std::vector<Query> queries, const StreamOptions& options,
               Listeners listeners)
    : model_(std::move(model)), impl_(std::make_unique<Impl>(*model_, std::move(queries), options, std::move(listeners))) {}

Stream::Stream(Stream&&) noexcept = default;

Stream::~Stream() = default;

void Stream::push(const Picture& picture, double time) { impl_->push(picture, time); }

void Stream::flush() { impl_->flush(); }

void Stream::reset() { impl_->reset(); }

void Stream::close() { impl_->close(); }

std::vector<Event> Stream::poll() { return impl_->emitter.take(); }

std::optional<Event> Stream::poll_one() { return impl_->emitter.take_one(); }

void Stream::set_queries(std::vector<Query> queries) {
    impl_->change([&](const Tracks&) { return impl_->tracks_for(std::move(queries)); });
}

void Stream::add_query(Query query, const std::optional<std::string>& policy) {
    impl_->change([&](Tracks tracks) {
        const auto is_same = [&](const auto& track) { return track->query().text == query.text; };
        if (std::any_of(tracks.begin(), tracks.end(), is_same)) {
            throw InputError("the query \"" + query.text + "\" is asked already");
        }
        auto shared = std::make_shared<const Query>(std::move(query));
        tracks.push_back(impl_->track_for(std::move(shared), policy.value_or(impl_->policy)));
        return tracks;
    });
}

void Stream::remove_query(const std::string& text) {
    impl_->change([&](Tracks tracks) {
        const auto found = std::find_if(tracks.begin(), tracks.end(), [&](const auto& t) { return t->query().text == text; });
        if (found == tracks.end()) throw InputError("can't remove the query \"" + text + "\"; it is not asked");
        if (tracks.size() == 1) throw InputError("can't remove the query \"" + text + "\"; one must stay");
        tracks.erase(found);
        return tracks;
    });
}

void Stream::set_policy(const std::string& policy) {
    impl_->change([&](Tracks tracks) {
        for (auto& track : tracks) track = impl_->track_for(track->shared_query(), policy);
        make_policy(policy, model_->width());  // where there is no query
        impl_->policy = policy;
        return tracks;
    });
}

std::vector<std::string> Stream::queries() const { return impl_->queries(); }

void Stream::watch(std::shared_ptr<const Labels> labels, const std::vector<double>& thresholds, double hold) {
    if (!labels) impl_->watch(std::nullopt);
    else impl_->watch(WatchedLabels(std::move(labels), thresholds, hold));
}

void Stream::add_head(std::shared_ptr<const TaughtHead> head, double hold) {
    if (!head) throw InputError("head must be a head, got none");
    impl_->add_head(WatchedHead(std::move(head), hold));
}

void Stream::remove_head(const std::shared_ptr<const TaughtHead>& head) { impl_->remove_head(head); }

StreamStats Stream::stats() const { return impl_->tally.stats(); }
std::int64_t Stream::failing() const { return impl_->tally.failing(); }

Latency Stream::latency(Stage stage) const { return impl_->tally.latency(stage); }

std::string Stream::last_error() const { return impl_->teller.last_error(); }

}  // namespace vljepa
