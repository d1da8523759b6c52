#include "vljepa/model.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "text/texts.hpp"
#include "vision/vision.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

// What a graph file is called in messages: its path below graphs/, with dots.
std::string graph_name(const std::string& file) {
    std::string name = file.substr(7, file.size() - 7 - 5);
    std::replace(name.begin(), name.end(), '/', '.');
    return name;
}

void check_fit(const GraphEntry& entry, const Graph& graph) {
    const auto has = [](const std::vector<std::string>& names, const std::string& name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    bool fits = entry.inputs.size() == graph.inputs().size();
    for (const TensorSpec& tensor : entry.inputs) fits = fits && has(graph.inputs(), tensor.name);
    for (const TensorSpec& tensor : entry.outputs) fits = fits && has(graph.outputs(), tensor.name);
    if (fits) return;
    std::string takes;
    for (const std::string& name : graph.inputs()) takes += (takes.empty() ? "" : ", ") + name;
    std::string gives;
    for (const std::string& name : graph.outputs()) gives += (gives.empty() ? "" : ", ") + name;
    throw BundleError(entry.file, "does not fit its manifest as " + entry.role + ": it takes " + takes + " and gives " +
                                      gives + "; write the bundle again with the graph's own names");
}

}  // namespace

Model::Model(Bundle bundle) : bundle_(std::move(bundle)) {}

Model::~Model() = default;

std::shared_ptr<const Model> Model::load(const std::string& path, const ModelOptions& options) {
    return load(path, *open_engine(options.engine, options.threads, options.precision));
}

std::shared_ptr<const Model> Model::load(const std::string& path, Engine& engine) {
    const std::shared_ptr<Model> model(new Model(Bundle::open(path)));
    std::map<std::string, std::shared_ptr<Graph>> files;
    std::map<std::string, std::shared_ptr<Graph>> graphs;
    for (const GraphEntry& entry : model->manifest().graphs) {
        std::shared_ptr<Graph>& graph = files[entry.file];
        if (!graph) graph = engine.compile(model->bundle_.read(entry.file), graph_name(entry.file));
        check_fit(entry, *graph);
        graphs[entry.role] = graph;
    }
    model->texts_ = std::make_unique<Texts>(model->bundle_, graphs.at("query"), graphs.at("y_encoder"), graphs.at("y_decoder"));
    model->vision_ = std::make_unique<Vision>(model->manifest(), graphs);
    return model;
}

Query Model::query(const std::string& text) const { return texts_->query(text); }

std::vector<float> Model::embed_text(const std::string& text) const { return texts_->embed(text); }

std::string Model::decode_text(const std::vector<float>& embedding) const {
    if (embedding.size() != width()) {
        throw InputError("an embedding must be " + std::to_string(width()) + " numbers, got " +
                         std::to_string(embedding.size()));
    }
    return texts_->decode(embedding);
}

Words Model::say(const std::vector<float>& embedding, const std::string& query, double least) const {
    return texts_->say(embedding, query, least);
}

double Model::least_confidence(std::optional<double> wanted) const {
    const auto& confidence = manifest().confidence;
    if (!wanted) return confidence ? confidence->min_confidence : 0.0;
    if (!(*wanted >= 0.0 && *wanted <= 1.0)) {
        throw InputError("min_confidence must be 0 to 1, a probability, got " + std::to_string(*wanted));
    }
    if (*wanted > 0.0 && !confidence) {
        throw InputError("min_confidence needs a bundle whose confidence was calibrated, and this one has none; use 0");
    }
    return *wanted;
}

}  // namespace vljepa
