use futures::future::join_all;

use super::*;

/// The least cost there is.
fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

fn question<'a>(user: &'a str, hash: &'a str, password: &'a str) -> Question<'a> {
    Question {
        user,
        hash,
        password,
    }
}

/// All permits are taken: what is answered now was known before.
async fn nobody_computes(passwords: &Passwords) -> tokio::sync::OwnedSemaphorePermit {
    let all = u32::try_from(passwords.permits.available_permits()).unwrap();
    let permits = Arc::clone(&passwords.permits);
    permits.acquire_many_owned(all).await.unwrap()
}

#[tokio::test]
async fn a_password_is_right_or_wrong_and_that_stays_known() {
    let passwords = Passwords::new(Handle::current());
    let hash = hash("sesame");
    let right = question("ali", &hash, "sesame");
    let wrong = question("ali", &hash, "open");
    assert_eq!(passwords.is_right(right).await, Ok(true));
    assert_eq!(passwords.is_right(wrong).await, Ok(false));
    let _turns = nobody_computes(&passwords).await;
    assert_eq!(passwords.is_right(right).await, Ok(true));
    assert_eq!(passwords.is_right(wrong).await, Ok(false));
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_and_nothing_is_known_then() {
    let passwords = Passwords::new(Handle::current());
    let hash = hash("sesame");
    let asked = question("ali", &hash, "sesame");
    let permits = nobody_computes(&passwords).await;
    assert_eq!(passwords.is_right(asked).await, Err(Busy));
    let unknown = question("nobody", &hash, "sesame");
    assert_ne!(passwords.key(asked), passwords.key(unknown));
    drop(permits);
    assert_eq!(passwords.compute(asked).await, Ok(true));
}

#[tokio::test(start_paused = true)]
async fn only_so_many_wait_and_equal_questions_are_one() {
    let passwords = Passwords::new(Handle::current());
    let hash = hash("sesame");
    let permits = nobody_computes(&passwords).await;
    let words: Vec<_> = (0..MAX_WAITING + 10)
        .map(|i| format!("guess {i}"))
        .collect();
    let guesses = words
        .iter()
        .map(|word| passwords.is_right(question("ali", &hash, word)));
    let refused = join_all(guesses).await.into_iter().filter(Result::is_err);
    assert_eq!(refused.count(), MAX_WAITING + 10, "nobody has a turn");
    drop(permits);
    assert_eq!(passwords.waiting.load(Ordering::Relaxed), 0);
    let same = (0..MAX_WAITING + 10).map(|_| passwords.is_right(question("ali", &hash, "sesame")));
    let right = join_all(same)
        .await
        .into_iter()
        .filter(|is| *is == Ok(true));
    assert_eq!(right.count(), MAX_WAITING + 10);
}
