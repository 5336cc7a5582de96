// Linear CKA between two layers' features of the same samples (Kornblith et al. 2019), by the unbiased
// estimate of HSIC, averaged over minibatches (Song et al. 2012; Nguyen, Raghu, Kornblith 2021, eq. 2 and 3):
//
//     K = X X', L = Y Y', their diagonals 0
//     HSIC_1(K,L) = [tr(K L) + 1'K1 1'L1 / ((n-1)(n-2)) - 2 / (n-2) 1'K L 1] / (n (n-3))
//     CKA = sum HSIC_1(K,L) / sqrt(sum HSIC_1(K,K) sum HSIC_1(L,L))        sums over minibatches
//
// 1 where the two are one up to rotation and scale, about 0 where they have nothing in common.
#ifndef VKD_NUMERICS_CKA_H
#define VKD_NUMERICS_CKA_H

enum { VKD_CKA_MIN_SAMPLES = 4 };

// K = x x' of the centred x, with a diagonal of 0. Centring changes no HSIC_1, only its rounding.
void vkd_cka_gram(float *x, // (n,c), centred in place
                  int n, int c,
                  float *K); // (n,n) =

// n >= VKD_CKA_MIN_SAMPLES.
double vkd_hsic(const float *K, const float *L, // (n,n) of vkd_cka_gram
                int n);

// From the three sums over minibatches; 0 where a layer is constant.
double vkd_cka(double sum_kl, double sum_kk, double sum_ll);

#endif
