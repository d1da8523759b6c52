// What a stream is asked, and what it watches for.

#include "api/guard.hpp"
#include "api/handles.hpp"

using vljepa::guarded;
using vljepa::required;

vljepa_status vljepa_query_make(const vljepa_model* model, const char* text, vljepa_query** query) {
    return guarded([&] {
        required(query, "query") = nullptr;
        *query = new vljepa_query{required(model, "model").model->query(&required(text, "text"))};
    });
}

vljepa_status vljepa_query_read(const vljepa_model* model, const char* path, vljepa_query** query) {
    return guarded([&] {
        required(query, "query") = nullptr;
        *query = new vljepa_query{required(model, "model").model->read_query(&required(path, "path"))};
    });
}

vljepa_status vljepa_labels_make(const vljepa_model* model, const char* const* names, size_t count, vljepa_labels** labels) {
    return guarded([&] {
        required(labels, "labels") = nullptr;
        std::vector<std::string> given;
        for (size_t i = 0; i < count; ++i) given.emplace_back(&required((&required(names, "names"))[i], "a name"));
        *labels = new vljepa_labels{required(model, "model").model->labels(given)};
    });
}

vljepa_status vljepa_labels_read(const vljepa_model* model, const char* path, vljepa_labels** labels) {
    return guarded([&] {
        required(labels, "labels") = nullptr;
        *labels = new vljepa_labels{required(model, "model").model->read_labels(&required(path, "path"))};
    });
}

vljepa_status vljepa_head_read(const vljepa_model* model, const char* path, vljepa_head** head) {
    return guarded([&] {
        required(head, "head") = nullptr;
        *head = new vljepa_head{required(model, "model").model->read_head(&required(path, "path"))};
    });
}

void vljepa_query_free(vljepa_query* query) { delete query; }

void vljepa_labels_free(vljepa_labels* labels) { delete labels; }

void vljepa_head_free(vljepa_head* head) { delete head; }

size_t vljepa_labels_count(const vljepa_labels* labels) { return labels->labels->names().size(); }

const char* vljepa_labels_name(const vljepa_labels* labels, size_t which) {
    const auto& names = labels->labels->names();
    return which < names.size() ? names[which].c_str() : nullptr;
}

vljepa_status vljepa_stream_set_queries(vljepa_stream* stream, const vljepa_query* const* queries, size_t count) {
    return guarded([&] {
        std::vector<vljepa::Query> given;
        for (size_t i = 0; i < count; ++i) given.push_back(required((&required(queries, "queries"))[i], "a query").query);
        required(stream, "stream").stream.set_queries(std::move(given));
    });
}

vljepa_status vljepa_stream_add_query(vljepa_stream* stream, const vljepa_query* query, const char* policy) {
    return guarded([&] {
        std::optional<std::string> own;
        if (policy != nullptr) own = policy;
        required(stream, "stream").stream.add_query(required(query, "query").query, own);
    });
}

vljepa_status vljepa_stream_remove_query(vljepa_stream* stream, const char* text) {
    return guarded([&] { required(stream, "stream").stream.remove_query(&required(text, "text")); });
}

vljepa_status vljepa_stream_set_policy(vljepa_stream* stream, const char* policy) {
    return guarded([&] { required(stream, "stream").stream.set_policy(&required(policy, "policy")); });
}

vljepa_status vljepa_stream_watch(vljepa_stream* stream, const vljepa_labels* labels, const double* thresholds, double hold) {
    return guarded([&] {
        std::vector<double> begins;
        if (labels != nullptr && thresholds != nullptr) begins.assign(thresholds, thresholds + labels->labels->names().size());
        required(stream, "stream").stream.watch(labels == nullptr ? nullptr : labels->labels, begins, hold);
    });
}

vljepa_status vljepa_stream_add_head(vljepa_stream* stream, const vljepa_head* head, double hold) {
    return guarded([&] { required(stream, "stream").stream.add_head(required(head, "head").head, hold); });
}

vljepa_status vljepa_stream_remove_head(vljepa_stream* stream, const vljepa_head* head) {
    return guarded([&] { required(stream, "stream").stream.remove_head(required(head, "head").head); });
}
