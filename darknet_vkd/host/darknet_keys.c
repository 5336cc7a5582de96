#include "host/darknet_keys.h"

#include <float.h>
#include <limits.h>

// Darknet squares sizes and doubles paddings in int.
enum { WIDEST = 1 << 16 };

static const char *const activations[] = {"linear", "leaky", "relu",    "logistic", "tanh",
                                          "elu",    "selu",  "relie",   "ramp",     "loggy",
                                          "plse",   "stair", "hardtan", "lhtan",    NULL};
static const char *const policies[] = {"constant", "step",   "exp", "poly", [VKD_DARKNET_STEPS] = "steps",
                                       "sigmoid",  "random", NULL};
static const char *const costs[] = {"sse", "masked", "smooth", "L1", "seg", "wgan", NULL};

#define FIELD(field) .offset = offsetof(vkd_darknet_keys, field)
#define INT(name, low, high, preset)                                                                         \
    { #name, FIELD(name), .type = VKD_ROW_INT, .min = (low), .max = (high), .initial = (preset) }
#define COUNT(name, preset) INT(name, 1, INT_MAX, preset)
#define INT_FROM(name, low)                                                                                  \
    { name, FIELD(integer), .type = VKD_ROW_INT, .min = (low), .max = INT_MAX }
#define ANY_INT(name) INT_FROM(name, INT_MIN)
#define NUMBER(name, low, high)                                                                              \
    { name, FIELD(number), .type = VKD_ROW_FLOAT, .min = (low), .max = (high) }
#define ANY_NUMBER(name) NUMBER(name, -FLT_MAX, FLT_MAX)
#define WORD(name, field, words, preset)                                                                     \
    { name, FIELD(field), .type = VKD_ROW_WORD, .choices = (words), .initial = (preset) }
#define ACTIVATION(preset) WORD("activation", word, activations, preset)

static const vkd_option_row net_rows[] = {COUNT(batch, "1"),
                                          COUNT(subdivisions, "1"),
                                          COUNT(time_steps, "1"),
                                          INT(width, 0, VKD_DARKNET_WIDEST, "0"),
                                          INT(height, 0, VKD_DARKNET_WIDEST, "0"),
                                          INT(channels, 0, INT_MAX, "0"),
                                          INT(inputs, 0, INT_MAX, "0"),
                                          WORD("policy", policy, policies, "constant"),
                                          INT_FROM("step", 1),
                                          INT_FROM("burn_in", 0),
                                          INT_FROM("max_batches", 0),
                                          INT_FROM("max_crop", 0),
                                          INT_FROM("min_crop", 0),
                                          ANY_INT("notruth"),
                                          ANY_INT("random"),
                                          ANY_INT("adam"),
                                          ANY_INT("center"),
                                          ANY_NUMBER("learning_rate"),
                                          ANY_NUMBER("momentum"),
                                          ANY_NUMBER("decay"),
                                          ANY_NUMBER("B1"),
                                          ANY_NUMBER("B2"),
                                          ANY_NUMBER("eps"),
                                          ANY_NUMBER("max_ratio"),
                                          ANY_NUMBER("min_ratio"),
                                          ANY_NUMBER("clip"),
                                          ANY_NUMBER("angle"),
                                          ANY_NUMBER("aspect"),
                                          ANY_NUMBER("saturation"),
                                          ANY_NUMBER("exposure"),
                                          ANY_NUMBER("hue"),
                                          ANY_NUMBER("power"),
                                          ANY_NUMBER("scale"),
                                          ANY_NUMBER("gamma")};
static const vkd_option_row net_lists[] = {ANY_INT("steps"), ANY_NUMBER("scales")};

static const vkd_option_row convolutional_rows[] = {COUNT(filters, "1"),
                                                    INT(size, 1, WIDEST, "1"),
                                                    INT(stride, 1, WIDEST, "1"),
                                                    INT(pad, INT_MIN, INT_MAX, "0"),
                                                    INT(padding, 0, WIDEST, "0"),
                                                    COUNT(groups, "1"),
                                                    ACTIVATION("logistic"),
                                                    ANY_INT("batch_normalize"),
                                                    ANY_INT("binary"),
                                                    ANY_INT("xnor"),
                                                    ANY_INT("flipped"),
                                                    ANY_NUMBER("dot")};
static const vkd_option_row deconvolutional_rows[] = {
    COUNT(filters, "1"),          INT(size, 1, WIDEST, "1"),
    INT(stride, 1, WIDEST, "1"),  INT(pad, INT_MIN, INT_MAX, "0"),
    INT(padding, 0, WIDEST, "0"), ACTIVATION("logistic"),
    ANY_INT("batch_normalize")};
static const vkd_option_row local_rows[] = {COUNT(filters, "1"), INT(size, 1, WIDEST, "1"),
                                            INT(stride, 1, WIDEST, "1"), INT(pad, INT_MIN, INT_MAX, "0"),
                                            ACTIVATION("logistic")};
static const vkd_option_row activation_rows[] = {ACTIVATION("linear")};
static const vkd_option_row rnn_rows[] = {COUNT(output, "1"), ACTIVATION("logistic"),
                                          ANY_INT("batch_normalize"), ANY_INT("shortcut")};
static const vkd_option_row gru_rows[] = {COUNT(output, "1"), ANY_INT("batch_normalize"), ANY_INT("tanh")};
static const vkd_option_row lstm_rows[] = {COUNT(output, "1"), ANY_INT("batch_normalize")};
static const vkd_option_row crnn_rows[] = {COUNT(output_filters, "1"), COUNT(hidden_filters, "1"),
                                           ACTIVATION("logistic"), ANY_INT("batch_normalize"),
                                           ANY_INT("shortcut")};
static const vkd_option_row connected_rows[] = {COUNT(output, "1"), ACTIVATION("logistic"),
                                                ANY_INT("batch_normalize")};
static const vkd_option_row crop_rows[] = {
    COUNT(crop_height, "1"),  COUNT(crop_width, "1"), ANY_INT("flip"),     ANY_NUMBER("angle"),
    ANY_NUMBER("saturation"), ANY_NUMBER("exposure"), ANY_NUMBER("shift"), ANY_INT("noadjust")};
static const vkd_option_row cost_rows[] = {WORD("type", word, costs, "sse"), ANY_NUMBER("scale"),
                                           ANY_NUMBER("ratio"), ANY_NUMBER("noobj"), ANY_NUMBER("thresh")};
static const vkd_option_row region_rows[] = {INT(coords, 4, INT_MAX, "4"),
                                             COUNT(classes, "20"),
                                             COUNT(num, "1"),
                                             COUNT(max, "30"),
                                             ANY_INT("log"),
                                             ANY_INT("sqrt"),
                                             ANY_INT("softmax"),
                                             ANY_INT("background"),
                                             ANY_NUMBER("jitter"),
                                             ANY_INT("rescore"),
                                             ANY_NUMBER("thresh"),
                                             ANY_INT("classfix"),
                                             ANY_INT("absolute"),
                                             ANY_INT("random"),
                                             ANY_NUMBER("coord_scale"),
                                             ANY_NUMBER("object_scale"),
                                             ANY_NUMBER("noobject_scale"),
                                             ANY_NUMBER("mask_scale"),
                                             ANY_NUMBER("class_scale"),
                                             ANY_INT("bias_match")};
static const vkd_option_row anchor_lists[] = {ANY_NUMBER("anchors")};
static const vkd_option_row yolo_rows[] = {COUNT(classes, "20"),
                                           COUNT(num, "1"),
                                           COUNT(max, "90"),
                                           ANY_NUMBER("jitter"),
                                           ANY_NUMBER("ignore_thresh"),
                                           ANY_NUMBER("truth_thresh"),
                                           ANY_INT("random")};
static const vkd_option_row yolo_lists[] = {INT_FROM("mask", 0), ANY_NUMBER("anchors")};
static const vkd_option_row iseg_rows[] = {COUNT(classes, "20"), INT(ids, 0, INT_MAX, "32")};
static const vkd_option_row detection_rows[] = {INT(coords, 4, INT_MAX, "1"),
                                                COUNT(classes, "1"),
                                                COUNT(num, "1"),
                                                COUNT(side, "7"),
                                                COUNT(max, "90"),
                                                ANY_INT("rescore"),
                                                ANY_INT("softmax"),
                                                ANY_INT("sqrt"),
                                                ANY_NUMBER("coord_scale"),
                                                ANY_INT("forced"),
                                                ANY_NUMBER("object_scale"),
                                                ANY_NUMBER("noobject_scale"),
                                                ANY_NUMBER("class_scale"),
                                                ANY_NUMBER("jitter"),
                                                ANY_INT("random"),
                                                ANY_INT("reorg")};
static const vkd_option_row softmax_rows[] = {COUNT(groups, "1"), ANY_NUMBER("temperature"),
                                              NUMBER("spatial", 0, 1), ANY_INT("noloss")};
static const vkd_option_row normalization_rows[] = {INT(size, 1, WIDEST, "5"), ANY_NUMBER("alpha"),
                                                    ANY_NUMBER("beta"), ANY_NUMBER("kappa")};
static const vkd_option_row maxpool_rows[] = {INT(stride, 1, WIDEST, "1"), INT(size, 1, WIDEST, "1"),
                                              INT(padding, 0, WIDEST, "0")};
static const vkd_option_row reorg_rows[] = {INT(stride, 1, WIDEST, "1"), INT(reverse, INT_MIN, INT_MAX, "0"),
                                            ANY_INT("flatten"), INT(extra, 0, INT_MAX, "0")};
static const vkd_option_row route_lists[] = {ANY_INT("layers")};
static const vkd_option_row upsample_rows[] = {INT(stride, -WIDEST, WIDEST, "2"), ANY_NUMBER("scale")};
static const vkd_option_row shortcut_rows[] = {INT(from, INT_MIN, INT_MAX, "0"), ACTIVATION("linear"),
                                               ANY_NUMBER("alpha"), ANY_NUMBER("beta")};
static const vkd_option_row dropout_rows[] = {
    {"probability", FIELD(number), .type = VKD_ROW_FLOAT, .min = 0, .max = 1, .open_max = true}};

static const vkd_option_row common_rows[] = {
    ANY_INT("truth"),          ANY_INT("onlyforward"),      ANY_INT("stopbackward"),
    ANY_INT("dontsave"),       ANY_INT("dontload"),         INT_FROM("numload", 0),
    ANY_INT("dontloadscales"), ANY_NUMBER("learning_rate"), ANY_NUMBER("smooth")};

#define LENGTH(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))
#define ROWS(name, rows)                                                                                     \
    { name, rows, LENGTH(rows) }
#define SECTION(name)                                                                                        \
    {                                                                                                        \
        ROWS(#name, name##_rows), {                                                                          \
#name, NULL, 0                                                                                   \
        }                                                                                                    \
    }
#define WITH_LISTS(name, lists)                                                                              \
    { ROWS(#name, name##_rows), ROWS(#name, lists) }
#define WITHOUT_KEYS(name)                                                                                   \
    {                                                                                                        \
        {name, NULL, 0}, {                                                                                   \
            name, NULL, 0                                                                                    \
        }                                                                                                    \
    }

const vkd_option_section vkd_darknet_common = ROWS("layer", common_rows);

static const vkd_darknet_section sections[BLANK + 1] = {
    [NETWORK] = WITH_LISTS(net, net_lists),
    [CONVOLUTIONAL] = SECTION(convolutional),
    [DECONVOLUTIONAL] = SECTION(deconvolutional),
    [LOCAL] = SECTION(local),
    [ACTIVE] = SECTION(activation),
    [LOGXENT] = WITHOUT_KEYS("logistic"),
    [L2NORM] = WITHOUT_KEYS("l2norm"),
    [RNN] = SECTION(rnn),
    [GRU] = SECTION(gru),
    [LSTM] = SECTION(lstm),
    [CRNN] = SECTION(crnn),
    [CONNECTED] = SECTION(connected),
    [CROP] = SECTION(crop),
    [COST] = SECTION(cost),
    [REGION] = WITH_LISTS(region, anchor_lists),
    [YOLO] = WITH_LISTS(yolo, yolo_lists),
    [ISEG] = SECTION(iseg),
    [DETECTION] = SECTION(detection),
    [SOFTMAX] = SECTION(softmax),
    [NORMALIZATION] = SECTION(normalization),
    [BATCHNORM] = WITHOUT_KEYS("batchnorm"),
    [MAXPOOL] = SECTION(maxpool),
    [REORG] = SECTION(reorg),
    [AVGPOOL] = WITHOUT_KEYS("avgpool"),
    [ROUTE] = {{"route", NULL, 0}, ROWS("route", route_lists)},
    [UPSAMPLE] = SECTION(upsample),
    [SHORTCUT] = SECTION(shortcut),
    [DROPOUT] = SECTION(dropout),
};

_Static_assert(LENGTH(net_rows) <= VKD_DARKNET_KEYS, "vkd_darknet_keys are too few");

const vkd_darknet_section *vkd_darknet_section_of(LAYER_TYPE type) {
    return &sections[type];
}
