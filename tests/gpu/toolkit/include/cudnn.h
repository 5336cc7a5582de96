// As much of cuDNN as the program calls, made of a CPU in ../cudnn.cpp. All descriptors are of one type here,
// and so are then the three passes of a convolution: which descriptor is whose, their shapes tell cudnn.cpp,
// and cuDNN's own headers a compiler.
#ifndef VKD_TESTS_CUDNN_H
#define VKD_TESTS_CUDNN_H

#include "cuda_runtime_api.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CUDNN_MAJOR 9

typedef enum { CUDNN_STATUS_SUCCESS = 0, CUDNN_STATUS_BAD_PARAM = 2000 } cudnnStatus_t;
typedef enum { CUDNN_DATA_FLOAT = 0, CUDNN_DATA_HALF = 2 } cudnnDataType_t;
typedef enum { CUDNN_TENSOR_NCHW = 0 } cudnnTensorFormat_t;
typedef enum { CUDNN_CROSS_CORRELATION = 1 } cudnnConvolutionMode_t;
typedef enum { CUDNN_DEFAULT_MATH = 0, CUDNN_TENSOR_OP_MATH = 1, CUDNN_FMA_MATH = 3 } cudnnMathType_t;
typedef enum { CUDNN_NON_DETERMINISTIC = 0, CUDNN_DETERMINISTIC = 1 } cudnnDeterminism_t;
typedef enum { CUDNN_BATCHNORM_SPATIAL = 1 } cudnnBatchNormMode_t;
typedef int cudnnConvolutionFwdAlgo_t, cudnnConvolutionBwdDataAlgo_t, cudnnConvolutionBwdFilterAlgo_t;
enum {
    CUDNN_CONVOLUTION_FWD_ALGO_COUNT = 8,
    CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT = 6,
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT = 7
};

typedef struct cudnnContext *cudnnHandle_t;
typedef struct cudnnDescriptor *cudnn_is;
typedef cudnn_is cudnnTensorDescriptor_t, cudnnFilterDescriptor_t, cudnnConvolutionDescriptor_t;

typedef struct cudnnProposal {
    int algo;
    cudnnStatus_t status;
    float time;
    size_t memory;
    cudnnDeterminism_t determinism;
    cudnnMathType_t mathType;
} cudnnConvolutionFwdAlgoPerf_t, cudnnConvolutionBwdDataAlgoPerf_t, cudnnConvolutionBwdFilterAlgoPerf_t;

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle);
const char *cudnnGetErrorString(cudnnStatus_t status);

typedef cudnnStatus_t cudnn_create(cudnn_is *made);
cudnn_create cudnnCreateTensorDescriptor, cudnnCreateFilterDescriptor, cudnnCreateConvolutionDescriptor;

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnn_is tensor, cudnnTensorFormat_t format, cudnnDataType_t type,
                                         int n, int c, int h, int w);
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnn_is filter, cudnnDataType_t type, cudnnTensorFormat_t format,
                                         int k, int c, int h, int w);
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnn_is how, int pad_h, int pad_w, int stride_h, int stride_w,
                                              int dilation_h, int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t sums);
cudnnStatus_t cudnnSetConvolutionGroupCount(cudnn_is how, int groups);
cudnnStatus_t cudnnSetConvolutionMathType(cudnn_is how, cudnnMathType_t math);

// A pass makes c of a and b: y of x and w, dx of w and dy, dw of x and dy.
typedef cudnnStatus_t cudnn_propose(cudnnHandle_t handle, cudnn_is a, cudnn_is b, cudnn_is how, cudnn_is c,
                                    int most, int *count, struct cudnnProposal *found);
typedef cudnnStatus_t cudnn_tell_workspace(cudnnHandle_t handle, cudnn_is a, cudnn_is b, cudnn_is how,
                                           cudnn_is c, int algorithm, size_t *bytes);
typedef cudnnStatus_t cudnn_convolve(cudnnHandle_t handle, const void *alpha, cudnn_is a_is, const void *a,
                                     cudnn_is b_is, const void *b, cudnn_is how, int algorithm,
                                     void *workspace, size_t bytes, const void *beta, cudnn_is c_is, void *c);
cudnn_propose cudnnGetConvolutionForwardAlgorithm_v7, cudnnGetConvolutionBackwardDataAlgorithm_v7,
    cudnnGetConvolutionBackwardFilterAlgorithm_v7;
cudnn_tell_workspace cudnnGetConvolutionForwardWorkspaceSize, cudnnGetConvolutionBackwardDataWorkspaceSize,
    cudnnGetConvolutionBackwardFilterWorkspaceSize;
cudnn_convolve cudnnConvolutionForward, cudnnConvolutionBackwardData, cudnnConvolutionBackwardFilter;

cudnnStatus_t cudnnBatchNormalizationForwardTraining(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alpha, const void *beta, cudnn_is x_is,
    const void *x, cudnn_is y_is, void *y, cudnn_is of_channels, const void *scale, const void *bias,
    double average, void *running_mean, void *running_variance, double eps, void *mean, void *inv_std);
cudnnStatus_t cudnnBatchNormalizationBackward(cudnnHandle_t handle, cudnnBatchNormMode_t mode,
                                              const void *alpha_x, const void *beta_x,
                                              const void *alpha_scale, const void *beta_scale, cudnn_is x_is,
                                              const void *x, cudnn_is dy_is, const void *dy, cudnn_is dx_is,
                                              void *dx, cudnn_is of_channels, const void *scale, void *dscale,
                                              void *dbias, double eps, const void *mean, const void *inv_std);

#ifdef __cplusplus
}
#endif
#endif
