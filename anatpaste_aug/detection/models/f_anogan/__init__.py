"""f-AnoGAN (Schlegl et al., Medical Image Analysis 2019): a Wasserstein GAN, and an encoder into its latent space."""
