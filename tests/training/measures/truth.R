# What R says of simulated courses, for the tests of training/measures and of ordinal outcomes.
#
#   Rscript truth.R FOLDER      writes FOLDER/truth.json
#   Rscript truth.R FOLDER 20   writes FOLDER/optimism.json, of 20 runs; half a minute
#
# Debian: r-base-core r-cran-rms r-cran-proc r-cran-metafor r-cran-jsonlite. SIMULATED: no data but
# what is drawn here. Where a package has the measure it is used; otherwise the definition is written
# out in loops, as plainly as can be.

suppressMessages({
  library(rms)
  library(pROC)
  library(metafor)
})

store <- function(folder, name, content) {
  json <- jsonlite::toJSON(content, digits = NA, auto_unbox = TRUE, null = "null")
  writeLines(json, file.path(folder, name))
}

precise <- glm.control(epsilon = 1e-14, maxit = 100)
level <- 0.95
reach <- qnorm(0.975)

# --- 200 courses of about 130 patients at six sites, said too boldly ---------------------------

draw_courses <- function() {
  set.seed(20241)
  n <- 200
  patient <- sort(sample(c(1:130, sample(130, 70))))
  patient <- as.integer(factor(patient))
  site <- (patient * 7) %% 6 + 1
  own <- rnorm(max(patient), 0, 0.5)[patient]
  effect <- c(-0.7, -0.3, 0, 0.1, 0.4, 0.6)[site]
  signal <- rnorm(n)
  outcome <- rbinom(n, 1, plogis(-0.2 + 0.9 * signal + own + effect))
  list(
    patient = patient,
    site = site,
    outcome = outcome,
    probability = round(plogis(0.1 + 1.3 * signal + rnorm(n, 0, 0.2)), 4),
    # Two digits: ties.
    other = round(plogis(0.5 * signal + rnorm(n, 0, 0.8)), 2),
    weight = round(runif(n, 0.5, 1.5), 2)
  )
}

# --- Discrimination -----------------------------------------------------------------------------

# Obuchowski (1997) from the placements, pair by pair.
placements <- function(score, y, w) {
  sapply(seq_along(y), function(i) {
    theirs <- score[y != y[i]]
    right <- if (y[i] == 1) score[i] > theirs else score[i] < theirs
    weighted.mean(right + 0.5 * (score[i] == theirs), w[y != y[i]])
  })
}

clustered <- function(score, y, patient, w = rep(1, length(y))) {
  v <- placements(score, y, w)
  m <- sum(w[y == 1])
  n <- sum(w[y == 0])
  auc <- sum(w[y == 1] * v[y == 1]) / m
  people <- unique(patient)
  x <- sapply(people, function(g) sum((w * (v - auc))[y == 1 & patient == g]))
  z <- sapply(people, function(g) sum((w * (v - auc))[y == 0 & patient == g]))
  k <- length(people)
  k1 <- length(unique(patient[y == 1]))
  k0 <- length(unique(patient[y == 0]))
  s10 <- k1 / ((k1 - 1) * m) * sum(x^2)
  s01 <- k0 / ((k0 - 1) * n) * sum(z^2)
  s11 <- k / (k - 1) * sum(x * z)
  list(auc = auc, error = sqrt(s10 / m + s01 / n + 2 * s11 / (m * n)))
}

discriminate <- function(d) {
  one <- roc(d$outcome, d$probability, quiet = TRUE, direction = "<")
  two <- roc(d$outcome, d$other, quiet = TRUE, direction = "<")
  plain <- as.numeric(ci.auc(one, method = "delong"))
  ties <- as.numeric(ci.auc(two, method = "delong"))
  error <- sqrt(var(one, method = "delong"))
  auc <- as.numeric(auc(one))
  odds <- qlogis(auc) + c(-1, 1) * reach * error / (auc * (1 - auc))
  list(
    auc = auc, error = error, interval = plain[c(1, 3)], logit_interval = plogis(odds),
    other_auc = ties[2], other_interval = ties[c(1, 3)],
    clustered = clustered(d$probability, d$outcome, d$patient),
    weighted = clustered(d$probability, d$outcome, d$patient, d$weight)
  )
}

# --- Calibration --------------------------------------------------------------------------------

first_errors <- function(observed, p) {
  e <- abs(observed - p)
  list(ici = mean(e), e50 = median(e), e90 = quantile(e, 0.9, names = FALSE), emax = max(e))
}

fit_spline <- function(d, nk, at) {
  x <- qlogis(d$probability)
  knots <- rcspline.eval(x, nk = nk, knots.only = TRUE)
  design <- function(z) rcspline.eval(z, knots = knots, inclx = TRUE)
  fit <- glm(d$outcome ~ design(x), family = binomial, control = precise)
  table <- cbind(1, design(qlogis(at)))
  middle <- as.numeric(table %*% coef(fit))
  width <- reach * sqrt(rowSums((table %*% vcov(fit)) * table))
  c(
    list(
      knots = as.numeric(knots), observed = plogis(middle),
      low = plogis(middle - width), high = plogis(middle + width)
    ),
    first_errors(fitted(fit), d$probability)
  )
}

# The sandwich over patients, with G / (G - 1), which robcov leaves out.
robust <- function(formula, d, which) {
  d$logit <- qlogis(d$probability)
  fit <- lrm(formula, data = d, x = TRUE, y = TRUE, eps = 1e-9, maxit = 100)
  g <- length(unique(d$patient))
  sqrt(robcov(fit, d$patient)$var[which, which] * g / (g - 1))
}

# The same with weights, which robcov does not take; and of the intercept alone.
sandwich <- function(x, d, fitted, w) {
  bread <- solve(t(x) %*% (x * (w * fitted * (1 - fitted))))
  score <- rowsum(x * (w * (d$outcome - fitted)), d$patient)
  g <- nrow(score)
  sqrt(diag(bread %*% (t(score) %*% score) %*% bread) * g / (g - 1))
}

calibrate <- function(d) {
  x <- qlogis(d$probability)
  large <- glm(d$outcome ~ offset(x), family = binomial, control = precise)
  line <- glm(d$outcome ~ x, family = binomial, control = precise)
  weighted <- suppressWarnings(
    glm(d$outcome ~ x, family = binomial, weights = d$weight, control = precise)
  )
  events <- sum(d$outcome)
  share <- mean(d$outcome)
  ratio <- events / sum(d$probability)
  width <- reach * sqrt((1 - share) / events)
  parts <- tapply(d$outcome - share, d$patient, sum)
  g <- length(parts)
  wshare <- weighted.mean(d$outcome, d$weight)
  wparts <- tapply(d$weight * (d$outcome - wshare), d$patient, sum)
  stats <- val.prob(d$probability, d$outcome, pl = FALSE)
  smooth <- loess(d$outcome ~ d$probability)
  at <- c(0.1, 0.3, 0.5, 0.7, 0.9)
  list(
    intercept = unname(coef(large)), intercept_error = sqrt(vcov(large)[1, 1]),
    slope = unname(coef(line)[2]), slope_error = sqrt(vcov(line)[2, 2]),
    ratio = ratio, ratio_interval = ratio * exp(c(-1, 1) * width),
    clustered = list(
      slope_error = robust(outcome ~ logit, d, 2),
      intercept_error = sandwich(cbind(rep(1, 200)), d, fitted(large), 1),
      ratio_log_error = sqrt(g / (g - 1) * sum(parts^2)) / events
    ),
    weighted = list(
      slope = unname(coef(weighted)[2]),
      slope_error = sandwich(cbind(1, x), d, fitted(weighted), d$weight)[2],
      ratio = sum(d$weight * d$outcome) / sum(d$weight * d$probability),
      ratio_log_error = sqrt(g / (g - 1) * sum(wparts^2)) / sum(d$weight * d$outcome)
    ),
    at = at, three_knots = fit_spline(d, 3, at), five_knots = fit_spline(d, 5, at),
    line = first_errors(fitted(line), d$probability),
    loess = first_errors(fitted(smooth), d$probability),
    val_prob = as.list(stats[c("Dxy", "C (ROC)", "Brier", "Intercept", "Slope", "Emax", "E90", "Eavg")])
  )
}

# --- Overall, with the normal interval of a mean over patients ---------------------------------

assess_overall <- function(d) {
  losses <- -log(ifelse(d$outcome == 1, d$probability, 1 - d$probability))
  squares <- (d$outcome - d$probability)^2
  error <- function(x) {
    parts <- tapply(x - mean(x), d$patient, sum)
    g <- length(parts)
    sqrt(g / (g - 1) * sum(parts^2)) / length(x)
  }
  share <- mean(d$outcome)
  constant <- share * (1 - share)
  # Of 1 - brier / (share (1 - share)), by the delta method.
  part <- -(squares - mean(squares)) / constant +
    mean(squares) * (1 - 2 * share) * (d$outcome - share) / constant^2
  list(
    log_loss = mean(losses), log_loss_error = error(losses),
    brier = mean(squares), brier_error = error(squares),
    scaled_brier = 1 - mean(squares) / constant, scaled_brier_error = error(part),
    weighted_brier = weighted.mean(squares, d$weight)
  )
}

# --- Decisions ----------------------------------------------------------------------------------

decide <- function(d) {
  rows <- lapply(c(0.2, 0.3, 0.4, 0.5, 0.6), function(t) {
    treated <- d$probability >= t
    net <- function(w, treated) {
      right <- sum(w[treated & d$outcome == 1]) / sum(w)
      vain <- sum(w[treated & d$outcome == 0]) / sum(w)
      right - vain * t / (1 - t)
    }
    ones <- rep(1, 200)
    benefit <- net(ones, treated)
    all <- net(ones, ones == 1)
    worth <- ifelse(treated, ifelse(d$outcome == 1, 1, -t / (1 - t)), 0)
    parts <- tapply(worth - mean(worth), d$patient, sum)
    list(
      threshold = t, treated = mean(treated), benefit = benefit, treat_all = all,
      standardised = benefit / mean(d$outcome), gain = benefit - max(all, 0),
      weighted = net(d$weight, treated),
      benefit_error = sqrt(length(parts) / (length(parts) - 1) * sum(parts^2)) / 200
    )
  })
  rows
}

# --- Sample size: the published formulas, and R2 from AUC by the paper's simulation ------------

size <- function(parameters, prevalence, r2) {
  most <- 1 - (prevalence^prevalence * (1 - prevalence)^(1 - prevalence))^2
  s <- r2 / (r2 + 0.05 * most)
  list(
    parameters = parameters, prevalence = prevalence, r2 = r2,
    overfitting = ceiling(parameters / ((0.9 - 1) * log(1 - r2 / 0.9))),
    apparent_fit = ceiling(parameters / ((s - 1) * log(1 - r2 / s))),
    base_rate = ceiling((1.96 / 0.05)^2 * prevalence * (1 - prevalence))
  )
}

simulate_r2 <- function(auc, prevalence, times = 6, n = 2e5) {
  set.seed(20242)
  drawn <- replicate(times, {
    y <- rep(c(1, 0), round(n * c(prevalence, 1 - prevalence)))
    x <- rnorm(n, ifelse(y == 1, sqrt(2) * qnorm(auc), 0))
    fit <- glm.fit(cbind(1, x), y, family = binomial())
    1 - exp((fit$deviance - fit$null.deviance) / n)
  })
  list(auc = auc, prevalence = prevalence, r2 = mean(drawn), error = sd(drawn) / sqrt(times))
}

# --- Instability: eight versions of a model fitted to the courses ------------------------------

destabilise <- function(d) {
  x <- qlogis(d$probability)
  refit <- function(rows) {
    coef(glm(d$outcome[rows] ~ x[rows], family = binomial, control = precise))
  }
  set.seed(20243)
  coefficients <- round(t(replicate(8, refit(sample(200, replace = TRUE)))), 3)
  probability <- plogis(as.numeric(cbind(1, x) %*% round(refit(1:200), 3)))
  versions <- plogis(cbind(1, x) %*% t(coefficients))
  limits <- t(apply(versions, 1, quantile, c(0.025, 0.975)))
  list(
    coefficients = coefficients, original = round(refit(1:200), 3),
    low = mean(limits[, 1]), high = mean(limits[, 2]),
    first_limits = limits[1, ],
    mape = mean(abs(versions - probability)), first_mape = mean(abs(versions[1, ] - probability[1])),
    flips = mean((versions >= 0.5) != (probability >= 0.5)),
    # Each version is a line on the log-odds, and so is its calibration curve.
    slopes = apply(versions, 2, function(p) {
      unname(coef(glm(d$outcome ~ qlogis(p), family = binomial, control = precise))[2])
    }),
    benefits = apply(versions, 2, function(p) {
      sum((p >= 0.4) * ifelse(d$outcome == 1, 1, -0.4 / 0.6)) / 200
    })
  )
}

# --- Sites --------------------------------------------------------------------------------------

pool_with <- function(values, variances, method) {
  fit <- rma(values, variances,
    method = method, test = "knha",
    control = list(threshold = 1e-14, maxiter = 10000, tol = 1e-13)
  )
  list(
    mean = as.numeric(fit$b), interval = c(fit$ci.lb, fit$ci.ub), tau2 = fit$tau2, i2 = fit$I2 / 100
  )
}

# The next site, the spread not taken as known: the probability that it lies below an end is
# integrated over the spreads at which Q is each of its quantiles.
predict_next <- function(values, variances) {
  at <- function(tau2) {
    mean <- weighted.mean(values, 1 / (variances + tau2))
    error <- sqrt(1 / sum(1 / (variances + tau2)))
    list(mean = mean, error = error, q = sum((values - mean)^2 / (variances + tau2)))
  }
  k <- length(values)
  spread <- function(q) {
    if (at(0)$q <= q) {
      return(0)
    }
    uniroot(function(tau2) at(tau2)$q - q, c(0, 1e9), tol = 1e-13, maxiter = 10000)$root
  }
  below <- function(end, q) {
    tau2 <- spread(q)
    found <- at(tau2)
    pnorm(end, found$mean, sqrt(tau2 + found$error^2))
  }
  # From here on the spread is 0.
  most <- at(0)$q
  probability <- function(end) {
    part <- Vectorize(function(q) below(end, q) * dchisq(q, k - 1))
    rest <- pchisq(most, k - 1, lower.tail = FALSE) * below(end, most)
    integrate(part, 0, most, rel.tol = 1e-8, subdivisions = 1000)$value + rest
  }
  sapply(c(0.025, 0.975), function(p) {
    uniroot(function(end) probability(end) - p, mean(values) + c(-5, 5), tol = 1e-7)$root
  })
}

pool_sites <- function(d) {
  parts <- lapply(1:6, function(s) {
    rows <- d$site == s
    one <- roc(d$outcome[rows], d$probability[rows], quiet = TRUE, direction = "<")
    line <- glm(d$outcome[rows] ~ qlogis(d$probability[rows]), family = binomial, control = precise)
    a <- as.numeric(auc(one))
    events <- sum(d$outcome[rows])
    c(
      qlogis(a), var(one, method = "delong") / (a * (1 - a))^2,
      log(events / sum(d$probability[rows])), (1 - mean(d$outcome[rows])) / events,
      coef(line)[2], vcov(line)[2, 2]
    )
  })
  table <- do.call(rbind, parts)
  both <- function(place) {
    list(
      reml = pool_with(table[, place], table[, place + 1], "REML"),
      paule_mandel = pool_with(table[, place], table[, place + 1], "PM"),
      next_site = predict_next(table[, place], table[, place + 1])
    )
  }
  # Thirteen vaccine trials: a data set of metafor, published by Colditz et al. (JAMA 1994).
  bcg <- escalc("RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
  list(
    auc = both(1), ratio = both(3), slope = both(5),
    bcg = list(
      values = as.numeric(bcg$yi), variances = as.numeric(bcg$vi),
      reml = pool_with(bcg$yi, bcg$vi, "REML"), paule_mandel = pool_with(bcg$yi, bcg$vi, "PM"),
      next_site = predict_next(as.numeric(bcg$yi), as.numeric(bcg$vi))
    )
  )
}

# --- Ordinal outcomes: proportional odds by rms::lrm ----------------------------------------------

grade_ordinal <- function() {
  set.seed(20245)
  n <- 240
  x <- round(matrix(rnorm(n * 2), n), 3)
  latent <- drop(x %*% c(0.8, -0.4)) + rlogis(n)
  grade <- findInterval(latent, c(-1.5, -0.5, 0.3, 1.2))
  weight <- round(runif(n, 0.5, 1.5), 2)
  table <- data.frame(grade = grade, first = x[, 1], second = x[, 2], weight = weight)
  equation <- grade ~ first + second
  tell <- function(one) list(
    coefficients = unname(coef(one)), covariance = unname(vcov(one)), deviance = unname(one$deviance[2])
  )
  alike <- lrm(equation, data = table, eps = 1e-12, maxit = 200)
  weighted <- suppressWarnings(lrm(equation, data = table, weights = weight, eps = 1e-12, maxit = 200))
  list(
    predictors = x, grade = grade, weight = weight, alike = tell(alike), weighted = tell(weighted)
  )
}

write_truth <- function(folder) {
  d <- draw_courses()
  store(folder, "truth.json", list(
    note = "SIMULATED. Written by truth.R; change that, not this.",
    versions = lapply(
      c(R = "base", rms = "rms", pROC = "pROC", metafor = "metafor"),
      function(one) as.character(packageVersion(one))
    ),
    courses = d, discrimination = discriminate(d), calibration = calibrate(d),
    overall = assess_overall(d), decisions = decide(d),
    sizes = list(
      size(24, 0.174, 0.288), size(36, 0.174, 0.288), size(24, 0.25, 0.288),
      size(24, 0.174, 0.55), size(30, 0.5, 0.12), size(12, 0.45, 0.06), size(2, 0.5, 0.3)
    ),
    simulated_r2 = list(
      simulate_r2(0.7, 0.5), simulate_r2(0.7, 0.3), simulate_r2(0.65, 0.5), simulate_r2(0.89, 0.174)
    ),
    instability = destabilise(d), sites = pool_sites(d), ordinal = grade_ordinal()
  ))
}

# --- Optimism: rms::validate on 150 rows of six predictors -------------------------------------

write_optimism <- function(folder, runs, times = 300) {
  set.seed(20244)
  n <- 150
  x <- round(matrix(rnorm(n * 6), n), 3)
  y <- rbinom(n, 1, plogis(-0.2 + x %*% c(0.5, -0.4, 0.3, 0, 0, 0)))
  table <- data.frame(y = y, x)
  fit <- lrm(y ~ ., data = table, x = TRUE, y = TRUE, eps = 1e-9, maxit = 100)
  rows <- c(dxy = "Dxy", slope = "Slope", intercept = "Intercept", brier = "B")
  found <- lapply(seq_len(runs), function(seed) {
    set.seed(seed)
    validate(fit, method = "boot", B = times)[rows, c("index.orig", "index.corrected")]
  })
  corrected <- lapply(rows, function(row) sapply(found, function(run) run[row, 2]))
  store(folder, "optimism.json", list(
    note = "SIMULATED. Written by truth.R; change that, not this.",
    method = "rms::validate(lrm, method = 'boot'), after set.seed(1), set.seed(2) and so on",
    rms = as.character(packageVersion("rms")), resamples = times,
    predictors = x, outcome = y, coefficients = unname(coef(fit)),
    apparent = lapply(rows, function(row) found[[1]][row, 1]),
    corrected = corrected,
    mean_corrected = lapply(corrected, mean),
    # Of one run; that of their mean is smaller by the root of the number of runs.
    monte_carlo_sd = lapply(corrected, sd)
  ))
}

asked <- commandArgs(trailingOnly = TRUE)
if (length(asked) == 1) write_truth(asked[1]) else write_optimism(asked[1], as.integer(asked[2]))
