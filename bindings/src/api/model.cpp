#include "vljepa/model.hpp"

#include "api/guard.hpp"
#include "api/handles.hpp"
#include "api/log.hpp"

using vljepa::guarded;
using vljepa::required;

vljepa_model_params vljepa_model_default_params(void) {
    vljepa_model_params params{};
    params.engine = "openvino";
    return params;
}

vljepa_status vljepa_model_load(const char* path, const vljepa_model_params* params, vljepa_model** model) {
    return guarded([&] {
        required(model, "model") = nullptr;
        const vljepa_model_params given = params == nullptr ? vljepa_model_default_params() : *params;
        if (given.precision < VLJEPA_PRECISION_AUTO || given.precision > VLJEPA_PRECISION_F16) {
            throw vljepa::InputError("precision must be a vljepa_precision, got " + std::to_string(given.precision));
        }
        vljepa::ModelOptions options;
        options.engine = &required(given.engine, "engine");
        options.threads = given.threads;
        options.precision = static_cast<vljepa::Precision>(given.precision);
        auto loaded = vljepa::Model::load(&required(path, "path"), options);
        vljepa::log(VLJEPA_LOG_INFO, "loaded " + loaded->manifest().name + " " + loaded->manifest().version + " of " + path);
        *model = new vljepa_model{std::move(loaded)};
    });
}

void vljepa_model_free(vljepa_model* model) { delete model; }

const char* vljepa_model_name(const vljepa_model* model) { return model->model->manifest().name.c_str(); }

const char* vljepa_model_version(const vljepa_model* model) { return model->model->manifest().version.c_str(); }

double vljepa_model_fps(const vljepa_model* model) { return model->model->manifest().video.fps; }

size_t vljepa_model_width(const vljepa_model* model) { return model->model->width(); }
